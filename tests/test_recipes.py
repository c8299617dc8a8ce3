from dataclasses import FrozenInstanceError, replace

import pytest

from mnist_helpers.data import BatchLoader
from mnist_helpers.errors import CourseError
from mnist_helpers.models import ARCHITECTURES, build_model
from mnist_helpers.recipes import RECIPES, get_recipe, make_optimizer
from mnist_helpers.training import train_one_epoch


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_registered_under_its_name_and_names_a_network(name):
    assert RECIPES[name].name == name
    assert RECIPES[name].architecture in ARCHITECTURES


@pytest.mark.parametrize("name", RECIPES)
def test_the_loss_falls_on_64_images(name, train):
    recipe = RECIPES[name]
    loader = BatchLoader(train.select(range(64)), batch_size=32, shuffle=True)
    model = build_model(recipe.architecture, recipe.dropout)
    optimizer, scheduler = make_optimizer(model, recipe, steps=32 * len(loader))
    losses = [train_one_epoch(model, loader, optimizer, scheduler, recipe)[0] for _ in range(32)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_recipe_cannot_be_changed_only_copied():
    with pytest.raises(FrozenInstanceError):
        get_recipe("walkthrough").epochs = 1
    assert replace(get_recipe("walkthrough"), epochs=1).epochs == 1


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(CourseError, match="recipe='walk' is not known. Use one of: walkthrough"):
        get_recipe("walk")


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": -1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"dropout": 1.0},
        {"schedule": "x"},
        {"patience": 0},
        {"epochs": 2.5},
        {"weight_decay": -1.0},
        {"label_smoothing": 1.0},
        {"beta1": -0.1},
        {"beta2": 1.0},
        {"epochs": 10_001},
        {"augment": "mirror"},
    ],
)
def test_settings_that_make_no_training_are_refused_with_their_value(change):
    ((name, value),) = change.items()
    with pytest.raises(CourseError, match=f"{name}=.?{value}"):
        replace(get_recipe("walkthrough"), **change)
