"""The steps that a GPU captures, taken one by one on the CPU: the course's own loop, from the same order of images."""

from dataclasses import replace

import pytest
import torch

from mnist_helpers.data import to_float
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.models import build_model
from mnist_helpers.recipes import get_recipe, make_optimizer
from mnist_helpers.runtime import seed_everything
from mnist_helpers.studies import cuda_graphs
from mnist_helpers.studies.cuda_graphs import GraphedTraining
from mnist_helpers.training import TrainingError, train_one_epoch

RECIPE = replace(get_recipe("fastest-99"), epochs=2, batch_size=64, bfloat16=False)


def network():
    return build_model(RECIPE.architecture)


class AsDrawn:
    """Serve the batches of a graphed training's order to the course's loop."""

    def __init__(self, labelled, orders):
        self.labelled, self.orders = labelled, orders

    def __len__(self):
        return len(self.orders)

    def __iter__(self):
        for chosen in self.orders:
            yield to_float(self.labelled.images[chosen]), self.labelled.labels[chosen]


def test_its_steps_are_those_of_the_course_s_loop(train, monkeypatch):
    # One dense layer: in larger networks some gradients are nothing but rounding, and Adam makes whole steps of it.
    recipe = replace(RECIPE, architecture="linear", weight_decay=0.05)
    training, orders = GraphedTraining(lambda: build_model("linear"), train, recipe), []
    shuffle = training._shuffle
    monkeypatch.setattr(training, "_shuffle", lambda: (shuffle(), orders.append(training.order.clone())))
    training.run(seed=3)
    seed_everything(3)
    model = build_model("linear")
    optimizer, scheduler = make_optimizer(model, recipe, 2 * training.batches)
    for order in orders:
        train_one_epoch(model, AsDrawn(train, order), optimizer, scheduler, recipe)
    assert len(orders) == 2
    assert not torch.equal(*orders)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(training.model.state_dict()[name], tensor, atol=1e-6, rtol=1e-4)


def test_each_run_begins_anew_and_the_same_seed_ends_the_same(train):
    training, weights = GraphedTraining(network, train, RECIPE), []
    for seed in (1, 2, 1):
        assert training.run(seed) > 0
        weights.append(training.model.state_dict()["dense2.weight"].clone())
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("name", ["most-accurate", "handwriting", "fastest-99.5"])
def test_a_recipe_with_augmentation_learns_as_a_graph_would(train, val, name):
    recipe = replace(get_recipe(name), epochs=2, batch_size=32)
    training = GraphedTraining(lambda: build_model(recipe.architecture, recipe.dropout), train, recipe)
    training.run(seed=0)
    assert evaluate(training.model, val).accuracy > 0.4  # by chance a tenth; forty steps are few


def test_a_loss_that_is_no_number_is_an_error(train):
    training = GraphedTraining(network, train, replace(RECIPE, lr=1e30))
    with pytest.raises(TrainingError, match=r"seed 5.*smaller learning rate"):
        training.run(seed=5)


def test_several_processes_are_refused(train, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "processes", lambda: 2)
    with pytest.raises(CourseError, match="one process"):
        GraphedTraining(network, train, RECIPE)
