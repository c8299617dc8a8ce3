"""Every way in which a file can be wrong gives one clear error and runs nothing."""

import json
import os
import pickle
import shutil
import sys
from dataclasses import asdict, fields, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mnist_helpers import checkpoints
from mnist_helpers.checkpoints import (
    MODEL_FILE,
    CheckpointError,
    find_model,
    load_model,
    load_training_state,
    load_weights,
    model_folder,
    newest_model,
    save_model,
    save_training_state,
)
from mnist_helpers.models import ARCHITECTURES, build_model
from mnist_helpers.runtime import ARTIFACTS_VARIABLE, ROOT


@pytest.fixture
def card() -> checkpoints.Card:
    return load_model(ROOT / "pretrained" / "mnist" / "walkthrough")[1]


@pytest.fixture
def folder(tmp_path, card):
    """A good checkpoint."""
    save_model(tmp_path / "model", build_model("two-conv"), card)
    return tmp_path / "model"


class Bomb:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_what_was_saved_is_loaded_bit_for_bit_with_its_card(tmp_path, card, val):
    model = build_model("two-conv").to(memory_format=torch.channels_last)
    save_model(tmp_path, model, card)
    loaded, loaded_card = load_model(tmp_path)
    assert loaded_card == load_model(tmp_path / MODEL_FILE)[1] == card
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert json.loads((tmp_path / "card.json").read_text()) == asdict(card)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_loaded_with_the_dropout_of_its_card(tmp_path, card, architecture):
    model = build_model(architecture, dropout=0.25).eval()
    save_model(tmp_path, model, replace(card, architecture=architecture, dropout=0.25))
    loaded, _ = load_model(tmp_path)
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(loaded(images), model(images))
    assert loaded.dropout.p == 0.25


def test_a_network_with_another_card_in_json_is_still_described_by_its_own_header(folder, card):
    (folder / "card.json").write_text("{}")
    assert load_model(folder)[1] == card


@pytest.mark.parametrize("size", [0, 4, 100, 5_000])
def test_a_truncated_file_is_said_to_be_damaged(folder, size):
    path = folder / MODEL_FILE
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="model.safetensors is damaged or not a checkpoint.*Remove it"):
        load_model(folder)


def test_a_pickle_in_disguise_is_refused_and_not_run(folder, tmp_path):
    (folder / MODEL_FILE).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(CheckpointError, match="nothing in it was run"):
        load_model(folder)
    assert not (tmp_path / "exploded").exists()


def test_a_training_state_with_code_in_it_is_refused_and_not_run(tmp_path):
    save_training_state(tmp_path, 1, {"last": {"a": torch.ones(2)}}, {"epochs": []})
    torch.save({"epochs": Bomb(tmp_path / "exploded")}, tmp_path / "resume" / "epoch-001.pt")
    with pytest.raises(CheckpointError, match="epoch-001.pt is damaged or not a checkpoint.*nothing in it was run"):
        load_training_state(tmp_path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["epoch-001.pt", "epoch-001.safetensors"])
def test_a_truncated_training_state_is_said_to_be_damaged(tmp_path, name):
    save_training_state(tmp_path, 1, {"last": {"a": torch.ones(50)}}, {"epochs": [], "x": torch.ones(50)})
    path = tmp_path / "resume" / name
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(CheckpointError, match=f"{name} is damaged"):
        load_training_state(tmp_path)


def test_weights_of_another_network_are_refused_with_the_first_difference(folder, card):
    with pytest.raises(CheckpointError, match=r"another network: flatten|another network: dense.weight is missing"):
        load_weights(build_model("linear"), load_file(folder / MODEL_FILE), folder / MODEL_FILE)
    lying = replace(card, architecture="lenet-5")
    save_model(folder, build_model("two-conv"), lying)
    with pytest.raises(CheckpointError, match=r"conv1.weight is \(32, 1, 3, 3\) in the file and \(6, 1, 5, 5\)"):
        load_model(folder)


@pytest.mark.parametrize("metadata", [None, {"card": "{}"}, {"card": "not json"}, {"card": "[1]"}, {"other": "x"}])
def test_weights_without_a_card_are_refused(tmp_path, metadata):
    save_file({"a": torch.ones(1)}, tmp_path / MODEL_FILE, metadata=metadata)
    with pytest.raises(CheckpointError, match="holds weights but no card"):
        load_model(tmp_path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(CheckpointError, match="model.safetensors does not exist"):
        load_model(tmp_path)


def test_a_file_in_the_folders_place_cannot_be_written_and_the_variable_is_named(tmp_path, card):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be written.*MNIST_ARTIFACTS.*untouched"):
        save_model(tmp_path / "file" / "model", build_model("two-conv"), card)


def test_a_full_disk_leaves_the_older_checkpoint(folder, card, monkeypatch):
    before = (folder / MODEL_FILE).read_bytes()

    def refuse(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", refuse)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_model(folder, build_model("two-conv"), card)
    assert (folder / MODEL_FILE).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", MODEL_FILE]


def test_only_the_newest_training_state_is_kept(tmp_path):
    for epoch in (1, 2, 10):
        save_training_state(tmp_path, epoch, {"last": {"a": torch.full((2,), epoch)}}, {"epoch": epoch})
    weights, state = load_training_state(tmp_path)
    assert state["epoch"] == 10
    assert weights["last"]["a"].tolist() == [10, 10]
    assert len(list((tmp_path / "resume").iterdir())) == 2


def test_a_state_of_which_only_half_was_written_is_passed_over(tmp_path):
    save_training_state(tmp_path, 1, {"last": {"a": torch.ones(1)}}, {"epoch": 1})
    shutil.copy(tmp_path / "resume" / "epoch-001.safetensors", tmp_path / "resume" / "epoch-002.safetensors")
    assert load_training_state(tmp_path)[1]["epoch"] == 1


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_states_of_two_trainings_are_not_taken_for_one(tmp_path, suffix):
    for run in ("one", "other"):
        weights = {"last": {"a": torch.full((1,), len(run))}}
        save_training_state(tmp_path / run, 1, weights, {"run": run})
    name = f"epoch-001{suffix}"
    shutil.copy(tmp_path / "other" / "resume" / name, tmp_path / "one" / "resume" / name)
    with pytest.raises(
        CheckpointError, match=r"epoch-001.pt and the .safetensors file beside it belong to two different training runs"
    ):
        load_training_state(tmp_path / "one")


def test_a_state_of_an_older_version_is_still_read(tmp_path):
    save_training_state(tmp_path, 1, {"last": {"a": torch.ones(1)}}, {"epoch": 1})
    torch.save({"epoch": 1}, tmp_path / "resume" / "epoch-001.pt")
    assert load_training_state(tmp_path)[1] == {"epoch": 1}


def test_your_own_network_comes_before_the_shipped_one(card):
    assert find_model() in [ROOT / place / "mnist" / "walkthrough" for place in ("artifacts", "pretrained")]
    save_model(model_folder("mnist", "walkthrough"), build_model("two-conv"), card)
    assert find_model() == model_folder("mnist", "walkthrough")


def test_a_network_is_looked_for_in_all_folders_that_the_variable_names(card, tmp_path, monkeypatch):
    places = [tmp_path / "first, of two", tmp_path / "second"]
    monkeypatch.setenv(ARTIFACTS_VARIABLE, "\n".join(map(str, places)))
    assert model_folder("mnist", "walkthrough") == places[0] / "mnist" / "walkthrough"
    save_model(places[1] / "mnist" / "walkthrough", build_model("two-conv"), card)
    assert find_model() == newest_model() == places[1] / "mnist" / "walkthrough"
    save_model(places[0] / "mnist" / "walkthrough", build_model("two-conv"), card)
    assert find_model() == places[0] / "mnist" / "walkthrough"


def test_the_network_trained_last_is_found_whatever_its_recipe(card):
    assert newest_model() is None
    for age, recipe in enumerate(("vgg", "walkthrough", "resnet")):
        save_model(model_folder("mnist", recipe), build_model("two-conv"), card)
        os.utime(model_folder("mnist", recipe) / "model.safetensors", (0, 1_000 - (recipe == "vgg") - age))
    assert newest_model() == model_folder("mnist", "vgg")


def test_where_there_is_no_network_the_reader_is_sent_to_notebook_3():
    with pytest.raises(CheckpointError, match="dataset='kmnist' and recipe='walkthrough'.*Run notebook 03"):
        find_model("kmnist")


def test_the_shipped_network_keeps_what_its_card_says(val):
    model, card = load_model(ROOT / "pretrained" / "mnist" / "walkthrough")
    from mnist_helpers.data import load_part
    from mnist_helpers.evaluation import evaluate

    scores = evaluate(model, load_part(card.dataset, "validation"))
    assert scores.accuracy == pytest.approx(card.val_accuracy, abs=0.0005)
    assert scores.loss == pytest.approx(card.val_loss, abs=1e-4)


@pytest.mark.parametrize("change", [{"architecture": "transformer"}, {"dropout": 2.0}])
def test_a_card_with_a_network_that_cannot_be_built_is_refused_by_name(folder, card, change):
    save_model(folder, build_model("two-conv"), replace(card, **change))
    with pytest.raises(CheckpointError, match="model.safetensors names a network that cannot be built"):
        load_model(folder)


def test_a_file_that_may_not_be_read_is_not_called_damaged(folder, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoints, "safe_open", refuse)
    with pytest.raises(CheckpointError, match="cannot be read with your permissions"):
        load_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": None},
        {"classes": 5},
        {"classes": ["0", 1]},
        {"classes": ["a\nb"] * 10},
        {"architecture": ["two-conv"]},
        {"dataset": ["mnist"]},
        {"epochs": "3"},
        {"dropout": float("nan")},
        {"val_loss": 10**400},
        {"recipe": "\x1b[2J"},
        {"seed": True},
    ],
)
def test_a_card_with_a_value_of_the_wrong_kind_is_refused_by_the_value_s_name(folder, card, change):
    save_model(folder, build_model("two-conv"), replace(card, **change))
    with pytest.raises(CheckpointError, match=f"no card that says what they are.*{next(iter(change))}"):
        load_model(folder)


def test_a_card_of_many_brackets_is_refused(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / MODEL_FILE, metadata={"card": "[" * 100_000})
    with pytest.raises(CheckpointError, match="no card"):
        load_model(tmp_path)


@pytest.mark.parametrize("classes", [[], ["0", "1"]])
def test_a_network_with_other_classes_than_logits_is_refused(folder, card, classes):
    save_model(folder, build_model("two-conv"), replace(card, classes=classes))
    with pytest.raises(CheckpointError, match=f"10 logits for {len(classes)} classes"):
        load_model(folder)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(folder, card, bad):
    model = build_model("two-conv")
    model.conv2.weight.data[3, 1, 0, 0] = bad
    save_model(folder, model, card)
    with pytest.raises(CheckpointError, match="conv2.weight holds values that are not finite"):
        load_model(folder)


def test_weights_with_an_imaginary_part_are_refused_by_name(folder):
    weights = load_file(folder / MODEL_FILE)
    weights["conv2.bias"] = weights["conv2.bias"] + 1j
    with pytest.raises(CheckpointError, match="conv2.bias holds values that are not finite numbers"):
        load_weights(build_model("two-conv"), weights, folder)


def test_a_whole_number_may_stand_for_a_fraction_and_what_is_not_known_is_left_out(card):
    facts = asdict(card) | {"val_loss": 0, "written by": "a later version"}
    assert checkpoints._card(json.dumps(facts)) == replace(card, val_loss=0)


def test_a_scaling_that_divides_by_zero_is_refused(folder, card):
    model = build_model("two-conv")
    model.standardise.std.zero_()
    save_model(folder, model, card)
    with pytest.raises(CheckpointError, match="not finite"):
        load_model(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_in_a_checkpoint_s_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / MODEL_FILE)
    with pytest.raises(CheckpointError, match="is a pipe"):
        load_model(tmp_path)


def test_the_thousandth_epoch_is_newer_than_the_one_before(tmp_path):
    weights = {"last": {"w": torch.zeros(1)}}
    for epoch in (1000, 999):  # each forgets the others, so they are written apart and put together
        save_training_state(tmp_path / str(epoch), epoch, weights, {"epoch": epoch})
    for file in (tmp_path / "999" / "resume").iterdir():
        file.rename(tmp_path / "1000" / "resume" / file.name)
    assert load_training_state(tmp_path / "1000")[1] == {"epoch": 1000}


def test_a_card_is_checked_also_where_annotations_are_kept_as_text(monkeypatch, card):
    kinds = checkpoints.Card.__annotations__
    text = {name: "list[str]" if name == "classes" else kind.__name__ for name, kind in kinds.items()}
    monkeypatch.setattr(checkpoints.Card, "__annotations__", text)
    for field in fields(checkpoints.Card):
        monkeypatch.setattr(field, "type", text[field.name])
    facts = asdict(card)
    assert checkpoints._card(json.dumps(facts)) == card
    with pytest.raises(TypeError, match="seed is 'one'"):
        checkpoints._card(json.dumps(facts | {"seed": "one"}))
