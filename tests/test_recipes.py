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
def test_the_loss_falls_on_32_images(name, train):
    recipe = RECIPES[name]
    loader = BatchLoader(train.select(range(32)), batch_size=16, shuffle=True)
    model = build_model(recipe.architecture, recipe.dropout)
    optimizer, scheduler = make_optimizer(model, recipe, steps=32 * len(loader))
    losses = [train_one_epoch(model, loader, optimizer, scheduler, recipe)[0] for _ in range(32)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_recipe_cannot_be_changed_only_copied():
    with pytest.raises(FrozenInstanceError):
        get_recipe("walkthrough").epochs = 1
    assert replace(get_recipe("walkthrough"), epochs=1).epochs == 1


def test_a_recipe_is_given_with_settings_changed_and_none_changes_nothing():
    assert get_recipe("walkthrough", epochs=1) == replace(get_recipe("walkthrough"), epochs=1)
    assert get_recipe("walkthrough", epochs=None, lr=None) == get_recipe("walkthrough")
    with pytest.raises(CourseError, match="epochs=0"):
        get_recipe("walkthrough", epochs=0)


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
        {"optimizer": "sgd"},
    ],
)
def test_settings_that_make_no_training_are_refused_with_their_value(change):
    ((name, value),) = change.items()
    with pytest.raises(CourseError, match=f"{name}=.?{value}"):
        replace(get_recipe("walkthrough"), **change)


@pytest.mark.parametrize("change", [{"augment": "shift"}, {"label_smoothing": 0.1}])
def test_a_teacher_goes_with_nothing_that_changes_images_or_labels(change):
    with pytest.raises(CourseError, match="teacher='teacher' goes with neither"):
        replace(get_recipe("smallest-99"), **change)


def test_a_recipe_s_teacher_is_a_recipe_that_has_none():
    taught = [recipe for recipe in RECIPES.values() if recipe.teacher]
    assert taught
    assert all(RECIPES[recipe.teacher].teacher is None for recipe in taught)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 10_000},
        {"epochs": 1, "batch_size": 1, "patience": 1},
        {"weight_decay": 0, "dropout": 0, "label_smoothing": 0, "beta1": 0, "beta2": 0},
    ],
)
def test_settings_at_the_edge_are_settings(change):
    recipe = replace(get_recipe("most-accurate"), **change)
    assert {name: getattr(recipe, name) for name in change} == change


def test_the_optimizer_has_the_settings_of_its_recipe():
    recipe = replace(get_recipe("most-accurate"), beta1=0.8, beta2=0.95, schedule="constant")
    optimizer, _ = make_optimizer(build_model("linear"), recipe, steps=100)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (recipe.lr, (0.8, 0.95), recipe.weight_decay)


@pytest.mark.parametrize(
    ("schedule", "steps", "moves"), [("one-cycle", 10, True), ("one-cycle", 9, False), ("constant", 10, False)]
)
def test_a_cycle_of_ten_steps_is_long_enough_and_moves_the_learning_rate_alone(schedule, steps, moves):
    recipe = replace(get_recipe("fastest-99"), schedule=schedule)
    optimizer, scheduler = make_optimizer(build_model("linear"), recipe, steps)
    rates, betas = [], []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        betas.append(optimizer.param_groups[0]["betas"])
        optimizer.step()
        scheduler.step()
    assert len(set(rates)) == (steps if moves else 1)
    assert max(rates) == pytest.approx(recipe.lr, rel=0.05)
    assert set(betas) == {(recipe.beta1, recipe.beta2)}
