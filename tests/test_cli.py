"""The command line as a person uses it, rightly and wrongly."""

import errno
import io
import json
import os
import re
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import needs
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mnist_helpers import runtime
from mnist_helpers.checkpoints import SHIPPED, load_model, model_folder, save_model
from mnist_helpers.corruptions import CORRUPTIONS
from mnist_helpers.course import workspace
from mnist_helpers.course.runner import SOURCES, find_notebooks
from mnist_helpers.data import LabelledImages, load_part
from mnist_helpers.errors import CourseError, UsageError
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.numbers import load_numbers
from mnist_helpers.reading import preprocessing, reader
from mnist_helpers.recipes import RECIPES
from mnist_helpers.runtime import PACKAGE_PARENT, ROOT


@pytest.mark.slow
def test_the_module_and_the_installed_command_are_the_same_program():
    for command in ([sys.executable, "-m", "mnist_helpers"], [str(Path(sys.executable).with_name("mnist-helpers"))]):
        done = subprocess.run([*command, "nonsense"], capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 2
        assert done.stderr == "error: No such command 'nonsense'.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run-notebooks", "--params", "epoch=1"], "error: PARAMS: 'epoch' is not a parameter of these notebooks"),
        (["run-notebooks", "--params", "epochs=many"], "error: PARAMS: epochs='many' should be of type int"),
        (["run-notebooks", "--notebooks", "9"], "error: NOTEBOOKS='9': no notebook begins with '9'"),
        (["run-notebooks", "--notebooks", "01", "--params", "epochs=1"], "error: PARAMS: 'epochs' is not a parameter"),
        (["train", "--device", "cuda:99"], "error: device='cuda:99' was asked for"),
        (["train", "--train-csv", "none.csv"], "error: none.csv cannot be read (No such file or directory)"),
        (["evaluate", "--checkpoint", "none"], "error: none/model.safetensors does not exist"),
        (["evaluate", "--dataset", "fashion_mnist"], "error: "),  # other classes, or not on this machine
        (["predict", "none.png"], "error: none.png cannot be read as a picture (it does not exist)"),
        (["predict", "--checkpoint", "none", "a.png"], "error: none/model.safetensors does not exist"),
        (["filters", "--checkpoint", "none", "--output", "x"], "error: none/model.safetensors does not exist"),
    ],
)
def test_what_cannot_work_is_said_in_two_lines_at_most_with_status_1(call, arguments, message):
    done = call(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.strip().splitlines()) <= 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["run-notebooks", "--nonsense"], "No such option: --nonsense"),
        (["train", "--recipe", "none"], "recipe='none' is not known. Use one of: walkthrough"),
        (["train", "--dataset", "none"], "dataset='none' is not known. Use one of: mnist"),
        (["train", "--device", "tpu"], "device='tpu' is not a device name"),
        (["train", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["train", "--epochs", "9" * 400], "is more than the maximum of 10,000"),
        (["train", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["train", "--batch-size", "-3"], "Invalid value for '--batch-size'"),
        (["train", "--lr", "0"], "lr=0.0 cannot be used for training"),
        (["train", "--lr", "nan"], "lr=nan cannot be used for training"),
        (["train", "--train-csv", "a", "--train-npz", "b"], "Name one of --train-csv, --train-folder and --train-npz"),
        (["train", "--seed", "-1"], "Invalid value for '--seed'"),
        (["evaluate", "--dataset", "none"], "dataset='none' is not known"),
        (["predict"], "Missing argument"),
        (["filters"], "Missing option '--output'"),
        (["reproduce", "--recipes", "none"], "recipe='none' is not known"),
        (["reproduce", "--seeds", "0"], "Invalid value for '--seeds'"),
        (["robustness", "--recipes", "none"], "recipe='none' is not known"),
        (["robustness", "--recipes", ","], "names none"),
        (["evaluate", "--robustness", "--figures", "pictures"], "--robustness draws no figures"),
        (["evaluate", "--robustness", "--handwriting", "."], "goes with none of"),
        (["search"], "Missing option '--study'"),
        (["search", "--study", "a", "--dataset", "none"], "dataset='none' is not known"),
    ],
)
def test_wrong_use_gives_one_line_and_status_2(call, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert not list(tmp_path.iterdir()), "a refused command leaves no file"


def test_help_lists_the_commands(call):
    shown = [call("--help"), call()]
    assert [done.returncode for done in shown] == [0, 2]
    for command in (
        "recipes", "train", "train-numbers", "evaluate", "predict", "filters", "export", "reproduce", "robustness",
        "search", "run-notebooks", "refresh-notebooks", "workspace", "contact-sheet",
    ):  # fmt: skip
        for done in shown:
            assert re.search(rf"^  {command} ", done.stdout + done.stderr, flags=re.MULTILINE)


def test_recipes_lists_each_with_the_parameters_of_its_network(call):
    lines = call("recipes").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(RECIPES)
    for line, recipe in zip(lines, RECIPES.values(), strict=True):
        assert f" {count_parameters(build_model(recipe.architecture)):,} " in line


def test_training_from_csv_leaves_a_network_its_history_and_its_curves(call, csv_file, tmp_path):
    given = ["train", "--recipe", "pytorch-ten-twenty", "--epochs", "2", "--batch-size", "32", "--lr", "0.003"]
    given += ["--train-csv", csv_file, "--test-csv", csv_file, "--device", "cpu", "--output", tmp_path / "out"]
    done = call(*given)
    assert done.returncode == 0, done.stderr
    assert re.search(r"epoch 2: training loss .*validation loss .*accuracy", done.stdout)
    assert re.search(r"Test: loss .*, accuracy .* \(95% interval .* 640 images\)", done.stdout)
    _, card = load_model(tmp_path / "out")
    assert (card.architecture, card.train_images, card.epochs) == ("ten-twenty", 587, 2)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2]
    assert (history["recipe"]["lr"], history["recipe"]["batch_size"]) == (0.003, 32)
    with Image.open(tmp_path / "out" / "curves.png") as picture:
        assert picture.width > 500
    again = call(*given, "--resume")
    assert again.returncode == 0, again.stderr
    assert "epoch 1:" not in again.stdout  # nothing was left to do
    assert done.stdout.splitlines()[-3] == again.stdout.splitlines()[-3]
    other = call(*given, "--resume", "--seed", "5")
    assert other.returncode == 1
    assert "was begun with seed=0, this one asks for 5" in other.stderr


def test_training_from_numpy_s_file_is_scored_on_its_test_part(call, train, val, tmp_path):
    arrays = {"x_train": train.images[:, 0].numpy(), "y_train": train.labels.numpy()}
    arrays |= {"x_test": val.images[:, 0].numpy(), "y_test": val.labels.numpy()}
    np.savez(tmp_path / "mnist.npz", **arrays)
    given = ["train", "--recipe", "pytorch-ten-twenty", "--epochs", "1", "--output", tmp_path / "out"]
    done = call(*given, "--train-npz", tmp_path / "mnist.npz")
    assert done.returncode == 0, done.stderr
    assert re.search(r"Test: loss .* 300 images\)", done.stdout)
    assert load_model(tmp_path / "out")[1].train_images == 587


def test_training_from_a_folder_of_pictures(call, train, tmp_path):
    for number in range(24):
        place = tmp_path / "own" / str(int(train.labels[number]))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(train.images[number, 0].numpy()).save(place / f"{number}.png")
    done = call("train", "--epochs", "1", "--train-folder", tmp_path / "own", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert load_model(tmp_path / "out")[1].train_images == 22


class Terminal(io.StringIO):
    """What a person sees, with the signs that move the cursor."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_a_bar_is_drawn_in_a_terminal_of_40_columns_and_not_in_a_file(call, csv_file, tmp_path, monkeypatch, kind):
    for name, value in {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "40"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "few.csv").write_text("\n".join(csv_file.read_text().splitlines()[:48]))
    shown = kind()
    monkeypatch.setattr(sys, "stderr", shown)
    done = call("train", "--epochs", "1", "--train-csv", tmp_path / "few.csv", "--output", tmp_path / "out")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + shown.getvalue()
    bars = [line for line in re.split("[\r\n]", shown.getvalue()) if line.strip()]
    if kind is Terminal:
        assert re.fullmatch(r"100%\|[█#]+\| 1\.0/1 epochs \[\d\d:\d\d\]", bars[-1])
        assert max(map(len, bars)) <= 40
    else:
        assert bars == []


def test_a_folder_that_cannot_be_written_is_said_before_training(call, csv_file, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = call("train", "--train-csv", csv_file, "--output", tmp_path / "file" / "out")
    assert done.returncode == 1
    assert "epoch 1" not in done.stdout
    assert "cannot be written" in done.stderr
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["evaluate", "--figures", "figures"], "figures"),
        (["reproduce"], "docs"),
        (["robustness"], "docs"),
        (["train-numbers"], "numbers"),
        (["ablate", "--seeds", "1"], "artifacts"),
        (["sizes", "--seeds", "1"], "artifacts"),
        (["bench"], "docs"),
        (["site", "site"], "site"),
    ],
)
def test_where_nothing_may_be_written_the_place_is_said_before_the_work(call, tmp_path, monkeypatch, arguments, place):
    def forbidden(*_: object, dir: Path, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/tmp4x7")

    for name in ("mkstemp", "TemporaryFile"):
        monkeypatch.setattr(runtime.tempfile, name, forbidden)
    for work in (
        "evaluation.predict_logits", "studies.reproduction.reproduce", "studies.robustness.measure",
        "commands.studies.train_variants", "studies.speed.race", "studies.speed.time_published_apart",
        "course.site.build_site",
    ):  # fmt: skip
        monkeypatch.setattr(f"mnist_helpers.{work}", lambda *_: pytest.fail("it was begun"))
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    said, _, remedy = done.stderr.partition(" cannot be written or read (Permission denied). ")
    assert said.endswith(place)
    assert remedy.startswith("Name a place that you may write to")


@pytest.fixture
def some_test_images(monkeypatch, val) -> LabelledImages:
    """Score a few images in place of 10,000, for speed."""
    monkeypatch.setattr("mnist_helpers.data.load_part", lambda *_: val)
    return val


@pytest.mark.usefixtures("some_test_images")
def test_evaluate_prints_scores_and_a_table(call):
    done = call("evaluate")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"Test: loss 0\.\d+, accuracy (?:9\d|100)\.\d+% \(95% interval .*% to .*%, 300 images\)", done.stdout
    )
    assert len(re.findall(r"^\d +0\.\d{4}|^\d +1\.0000", done.stdout, flags=re.MULTILINE)) == 10


def test_evaluate_prints_json_and_nothing_else_and_draws(call, some_test_images, tmp_path):
    done = call("evaluate", "--json", "--figures", tmp_path / "figures")
    facts = json.loads(done.stdout)
    assert facts["images"] == 300
    assert sum(map(sum, facts["confusion_matrix"])) == 300
    assert facts["interval"][0] < facts["accuracy"] <= facts["interval"][1] <= 1
    assert facts["accuracy"] == sum(facts["confusion_matrix"][i][i] for i in range(10)) / 300
    assert [row["class"] for row in facts["classes"]] == list("0123456789")
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["confusion.png", "mistakes.png", "predictions.png"]


@pytest.mark.slow
def test_beside_mnist_s_score_stands_that_without_the_labels_that_people_rejected(call):
    said, facts = call("evaluate").stdout, json.loads(call("evaluate", "--json").stdout)
    fewer = facts["accuracy_without_rejected_labels"]
    assert f"Without the 15 images whose label people rejected: accuracy {fewer:.2%}" in said
    mistakes, excused = round(10_000 * (1 - facts["accuracy"])), round(9_985 * (1 - fewer))
    assert 0 < mistakes - excused <= 15
    assert facts["images"] == sum(map(sum, facts["confusion_matrix"])) == 10_000  # the test set stays as it is


def seven(path: Path) -> Path:
    picture = Image.new("RGB", (300, 200), (240, 240, 230))
    ImageDraw.Draw(picture).line([(60, 40), (125, 40), (85, 140)], fill=(20, 20, 90), width=12)
    picture.save(path)
    return path


def two_digits(path: Path) -> Path:
    picture = Image.new("L", (300, 200), 240)
    pen = ImageDraw.Draw(picture)
    pen.line([(60, 40), (125, 40), (85, 140)], fill=20, width=12)
    pen.ellipse([190, 40, 250, 140], outline=20, width=12)
    picture.save(path)
    return path


def test_predict_reads_what_it_can_and_names_what_it_cannot(call, tmp_path):
    (tmp_path / "no.png").write_text("not a picture")
    files = [seven(tmp_path / "a.png"), tmp_path / "no.png", two_digits(tmp_path / "two.png"), tmp_path / "none.png"]
    done = call("predict", *files)
    assert done.returncode == 1
    assert re.search(r"a\.png: 7   \(7 \d+\.\d%", done.stdout)
    assert len(done.stdout.splitlines()) == 1
    errors = done.stderr.splitlines()
    assert len(errors) == 3
    assert all(line.startswith("error: ") and str(file) in line for line, file in zip(errors, files[1:], strict=True))
    assert "2 separate digits" in errors[1]


def test_a_letter_is_doubted_by_the_shipped_network_also_where_that_is_named(call, tmp_path):
    picture = Image.new("L", (300, 200), 240)
    for stroke in ([(100, 40), (100, 160)], [(170, 40), (100, 110), (175, 160)]):  # a K
        ImageDraw.Draw(picture).line(stroke, fill=20, width=12)
    picture.save(tmp_path / "k.png")
    said = [call("predict", tmp_path / "k.png", *named).stdout for named in ([], ["--checkpoint", SHIPPED])]
    assert said[0] == said[1]
    assert "perhaps no digit" in said[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_what_a_stranger_named_does_not_command_the_terminal(call, tmp_path):
    bells = tmp_path / "\x1b[2J\x07\u202egnp.\nerror.png"
    done = call("predict", seven(bells), tmp_path / "\x1b[31mnone.png", "--show", tmp_path / "\x1bsteps.png")
    assert re.search(r"\\x1b\[2J\\x07\\u202egnp\.\\nerror\.png: 7 ", done.stdout)
    assert len(done.stdout.splitlines()) == 1
    assert r"\x1b[31mnone.png cannot be read" in done.stderr
    for arguments in (
        ["train", "--train-csv", "\x1b[1m.csv"],
        ["evaluate", "--checkpoint", "\x1b[1m"],
        ["export", "--output", tmp_path / "none\x9b" / "\0"],
        ["\x1b]0;title\x07"],
    ):
        said = call(*arguments)
        assert said.returncode
        assert not {"\x1b", "\x07", "\x9b", "\0"} & set(said.stdout + said.stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_name_that_is_no_text_is_read_and_shown(call, tmp_path):
    done = call("predict", seven(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))))
    assert r"\udcff.png: 7 " in done.stdout


def test_a_command_prints_through_one_door():
    for path in (PACKAGE_PARENT / "mnist_helpers" / "commands").glob("*.py"):
        assert path.name == "terminal.py" or "typer.echo" not in path.read_text(encoding="utf-8")


def test_predict_reads_the_images_of_a_table_row_by_row(call, tmp_path, val):
    rows = [",".join(map(str, image.flatten().tolist())) for image in val.images[:20]]
    (tmp_path / "test.csv").write_text("\n".join(rows))
    (tmp_path / "bad.csv").write_text("1,2,3")
    done = call("predict", tmp_path / "test.csv", "--show", tmp_path / "steps.png")
    assert done.returncode == 0
    assert "steps.png was not written: the images of a table are digits already" in done.stderr
    found = re.findall(r"test\.csv, row (\d+): (\d) ", done.stdout)
    assert [int(row) for row, _ in found] == list(range(1, 21))
    assert sum(int(digit) == label for (_, digit), label in zip(found, val.labels.tolist(), strict=False)) >= 19
    done = call("predict", tmp_path / "bad.csv")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'bad.csv'} has 3 columns")


def test_a_network_of_emnist_s_digits_puts_a_table_upright_and_says_so(call, tmp_path, val):
    model, card = load_model(SHIPPED)
    save_model(tmp_path / "network", model, replace(card, dataset="emnist_digits"))
    rows = [",".join(map(str, image.mT.flatten().tolist())) for image in val.images[:20]]
    (tmp_path / "test.csv").write_text("\n".join(rows))
    done = call("predict", tmp_path / "test.csv", "--checkpoint", tmp_path / "network")
    assert "test.csv: the network knows emnist_digits, so the images are put upright" in done.stderr
    found = re.findall(r"row \d+: (\d) ", done.stdout)
    assert sum(int(digit) == label for digit, label in zip(found, val.labels.tolist(), strict=False)) >= 19


def test_predict_keeps_no_picture_that_it_is_done_with(call, tmp_path, monkeypatch):
    made = []

    def read(picture: Image.Image, real=reader.read_digits) -> list[preprocessing.DigitSteps]:
        assert sum(seen() is not None for seen in made) <= reader.WAITING + 2
        steps = real(picture)
        made.extend(map(weakref.ref, steps))
        return steps

    monkeypatch.setattr(reader, "read_digits", read)
    done = call("predict", *[seven(tmp_path / f"{number}.png") for number in range(4 * reader.WAITING)])
    assert done.returncode == 0, done.stderr
    assert len(made) == 4 * reader.WAITING


def test_predict_prints_json_and_nothing_else(call, tmp_path):
    files = [seven(tmp_path / "a.png"), tmp_path / "none.png"]
    done = call("predict", "--json", *files)
    assert done.returncode == 1
    read, missing = json.loads(done.stdout)
    assert (read["image"], read["digit"], read["error"]) == (str(files[0]), 7, None)
    assert len(read["probabilities"]) == 10
    assert abs(sum(read["probabilities"]) - 1) < 1e-4
    assert (missing["image"], missing["digit"], missing["probabilities"]) == (str(files[1]), None, [])
    assert "does not exist" in missing["error"]
    assert call("predict", "--json", files[0]).returncode == 0


def test_predict_all_reads_from_left_to_right_and_shows_every_step(call, tmp_path):
    done = call("predict", "--all", "--json", "--show", tmp_path / "steps.png", two_digits(tmp_path / "two.png"))
    assert done.returncode == 0, done.stderr
    assert [answer["digit"] for answer in json.loads(done.stdout)] == [7, 0]
    with Image.open(tmp_path / "steps.png") as picture:
        assert picture.width > 1000


def test_filters_are_saved_as_numbered_pictures(call, tmp_path):
    done = call("filters", "--checkpoint", ROOT / "pretrained/mnist/walkthrough", "--output", tmp_path / "filters")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "filters").iterdir()}
    assert names == {f"filter_{number}.png" for number in range(1, 33)}


def test_where_the_reader_has_trained_a_network_the_shipped_one_is_named_and_how_to_take_ones_own(call, tmp_path):
    given = ["predict", "--json", seven(tmp_path / "7.png")]
    assert call(*given).stderr == ""
    network, card = load_model(ROOT / "pretrained/mnist/walkthrough")
    own = model_folder("mnist", "my own")
    save_model(own, network, card)
    done = call(*given)
    assert json.loads(done.stdout)[0]["digit"] == 7
    assert done.stderr == f"This is the network that comes with the project; for yours: --checkpoint '{own}'\n"
    assert call(*given, "--checkpoint", own).stderr == ""


def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "papermill", None)
    monkeypatch.delitem(sys.modules, "mnist_helpers.course.runner")
    monkeypatch.delattr("mnist_helpers.course.runner")
    done = call("run-notebooks", "--notebooks", "none")  # which would be refused otherwise
    assert (done.returncode, done.stdout) == (1, "")
    message = "error: This command needs papermill. Install it with: pip install 'mnist-helpers[course,classroom]'\n"
    assert done.stderr == message


def test_where_there_are_no_notebooks_nothing_is_left_behind(call, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "find_notebooks", lambda **_: find_notebooks(folder=tmp_path / "none"))
    done = call("workspace", tmp_path / "work")
    assert done.returncode == 1
    assert re.fullmatch(r"error: There are no notebooks in .*: they come with the repository, .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_the_exported_file_agrees_with_torch(call, tmp_path):
    given = ["export", "--checkpoint", ROOT / "pretrained/mnist/walkthrough", "--output", tmp_path / "a.onnx"]
    done = call(*given)
    assert done.returncode == 0, done.stderr
    assert re.search(r"differ from torch's by \d\.\de-0[5-9] at most", done.stdout)


def test_a_network_is_exported_for_a_browser_or_as_a_page_or_refused_in_a_sentence(call, tmp_path):
    done = call("export", "--format", "web", "--output", tmp_path / "web")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "web").iterdir()) == ["network.bin", "network.json"]
    done = call("export", "--format", "page", "--output", tmp_path / "glass.html")
    assert done.returncode == 0, done.stderr
    assert "Glass box" in (tmp_path / "glass.html").read_text(encoding="utf-8")
    done = call("export", "--format", "page", "--output", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_trial_run_of_reproduce_prints_its_table_and_keeps_the_committed_page(call, tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST_ARTIFACTS", str(tmp_path))
    page = ROOT / "docs" / "reproduction.md"
    before = page.read_bytes()
    given = ["reproduce", "--recipes", "walkthrough", "--seeds", "1", "--train-limit", "640", "--device", "cpu"]
    done = call(*given)
    assert done.returncode == 0, done.stderr
    assert "| `walkthrough` | – | – |" in done.stdout
    assert "121,930" in (tmp_path / "reproduction" / "reproduction.md").read_text()
    assert page.read_bytes() == before


@pytest.fixture
def few_to_test(monkeypatch):
    """Let there be 300 test images: what is scored on spoiled ones is scored on sixteen times as many."""

    def load(dataset: str, part: str, limit: int | None = None) -> LabelledImages:
        return load_part(dataset, part, 300 if part == "test" else limit)

    for place in ("mnist_helpers.data", "mnist_helpers.studies.robustness"):
        monkeypatch.setattr(f"{place}.load_part", load)


def test_a_network_is_scored_on_spoiled_test_images_in_words_and_as_json(call, few_to_test):
    done = call("evaluate", "--robustness")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["test", "images", "accuracy", "confidence"]
    assert [row[:15].strip() for row in rows] == ["as they are", *CORRUPTIONS, "mean, spoiled"]
    found = json.loads(call("evaluate", "--robustness", "--json").stdout)
    assert found["images"] == 300
    accuracies = [one["accuracy"] for one in found["corruptions"]]
    assert [f"{accuracy:.2%}" for accuracy in accuracies] == [row[15:].split()[0] for row in rows[:-1]]
    assert accuracies[0] > sum(accuracies[1:]) / 15
    assert rows[-1].split()[2] == f"{sum(accuracies[1:]) / 15:.2%}"


def test_a_trial_run_of_robustness_trains_what_is_missing_once_and_keeps_the_committed_page(
    call, few_to_test, tmp_path, monkeypatch
):
    monkeypatch.setenv("MNIST_ARTIFACTS", str(tmp_path))
    page = ROOT / "docs" / "robustness.md"
    before = page.read_bytes()
    given = ["robustness", "--recipes", "fastest-99", "--train-limit", "640", "--device", "cpu"]
    done = call(*given)
    assert done.returncode == 0, done.stderr
    assert "| test images | `fastest-99` |" in done.stdout
    assert done.stdout.count("|\n") >= 19  # a head, a rule, sixteen kinds, a mean
    monkeypatch.setattr("mnist_helpers.training.train_one_epoch", lambda *_, **__: pytest.fail("trained again"))
    assert call(*given).stdout == done.stdout
    assert "## Confidence" in (tmp_path / "robustness.md").read_text(encoding="utf-8")
    assert page.read_bytes() == before


def test_a_network_that_reads_numbers_is_trained_and_kept_after_every_series(call, tmp_path, monkeypatch):
    monkeypatch.setattr("mnist_helpers.commands.networks.NUMBERS_TO_VALIDATE", 60)
    given = ["train-numbers", "--epochs", "2", "--count", "64", "--device", "cpu", "--output", tmp_path / "numbers"]
    done = call(*given)
    assert done.returncode == 0, done.stderr
    first, second, where = done.stdout.splitlines()
    assert re.match(r"series 1 of 2: training loss [\d.]+; validation loss [\d.]+, 0.00% of numbers read whole", first)
    assert second.startswith("series 2 of 2: ")
    assert where == f"The network is in {tmp_path / 'numbers'}"
    _, card = load_numbers(tmp_path / "numbers")
    assert (card.epochs, card.train_images) == (2, 55_000)
    done = call("evaluate", "--checkpoint", tmp_path / "numbers")
    assert (done.returncode, done.stdout) == (1, "")
    assert "names a network that cannot be built" in done.stderr


def test_the_workspace_is_filled_with_every_lesson(call, tmp_path):
    done = call("workspace", tmp_path / "work")
    assert done.returncode == 0
    lessons = [f"{path.name}: new" for path in find_notebooks()]
    sheets = [f"exercises/{path.name}: new" for path in sorted(SOURCES.glob("exercises/*.ipynb"))]
    assert done.stdout.splitlines() == lessons + sheets
    assert len(sheets) == 11
    assert call("workspace", tmp_path / "work").stdout == "The workspace is up to date.\n"


def test_a_workspace_that_cannot_be_written_is_said_plainly(call, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = call("workspace", tmp_path / "file" / "work")
    assert done.returncode == 1
    assert re.match(r"error: .*cannot be written or read", done.stderr)


def test_the_contact_sheet_is_a_picture_that_fits_a_page(call, tmp_path):
    done = call("contact-sheet", tmp_path / "docs" / "sheet.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "docs" / "sheet.png") as picture:
        assert 1200 < picture.width < 2400


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_is_named_and_the_other_pictures_are_read(call, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    done = call("predict", tmp_path / "pipe.png", seven(tmp_path / "a.png"))
    assert done.returncode == 1
    assert ": 7 " in done.stdout
    assert "pipe" in done.stderr
    done = call("train", "--epochs", "1", "--train-csv", tmp_path / "pipe.png", "--output", tmp_path / "out")
    assert (done.returncode, "is a pipe" in done.stderr) == (1, True)
    done = call("search", "--study", tmp_path / "pipe.png", "--train-limit", "100")
    assert (done.returncode, "is a pipe" in done.stderr) == (1, True)


@needs.LINKS
def test_predict_shows_files_of_any_name_and_never_writes_over_a_picture(call, tmp_path):
    files = [seven(tmp_path / name) for name in ("a$b_{$^.png", "数字.png")]
    done = call("predict", *files, "--show", tmp_path / "steps.png")
    assert (done.returncode, done.stderr) == (0, "")
    before = files[0].read_bytes()
    done = call("predict", *files, "--show", files[0])
    assert done.returncode == 2
    assert "would write over that picture" in done.stderr
    assert files[0].read_bytes() == before
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    done = call("predict", tmp_path / "circle.png", files[0], "--show", tmp_path / "steps.png")
    assert done.returncode == 1
    assert ": 7 " in done.stdout
    assert "circle.png cannot be read" in done.stderr


def test_a_resumed_training_with_nothing_left_to_do_still_leaves_every_file(call, csv_file, tmp_path):
    given = ["train", "--recipe", "pytorch-ten-twenty", "--epochs", "1", "--train-csv", csv_file]
    given += ["--device", "cpu", "--output", tmp_path / "out"]
    assert call(*given).returncode == 0
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    files = [tmp_path / "out" / name for name in ("model.safetensors", "card.json", "history.json", "curves.png")]
    for file in files:
        file.unlink()
    assert call(*given, "--resume").returncode == 0
    assert all(file.is_file() for file in files)
    assert files[0].read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_control_c_while_the_packages_are_loaded_ends_without_a_traceback():
    code = """
import builtins, os, signal
import mnist_helpers.cli

def interrupted(name, *rest, real=builtins.__import__, **more):
    if name == "mnist_helpers.runtime":
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest, **more)

signal.signal(signal.SIGINT, signal.default_int_handler)
builtins.__import__ = interrupted
mnist_helpers.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 130
    assert done.stderr.strip() == "Stopped. Every file that was written is whole."


def test_where_the_system_knows_ascii_alone_names_and_signs_are_still_taken():
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "mnist_helpers", "predict", "ü → 7.png"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, env=os.environ | plain)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert b"Traceback" not in done.stderr


@needs.SHELL
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
@pytest.mark.slow
def test_without_a_standard_output_or_error_a_command_still_works(closed):
    command = f"{sys.executable} -m mnist_helpers recipes {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0
    assert ("walkthrough" in done.stdout) == (closed == "2>&-")
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp850", "latin-1", "cp932"])
def test_a_code_page_without_our_signs_shows_others(call, monkeypatch, encoding):
    shown = io.BytesIO()
    for arguments, status, expected in (
        (["recipes"], 0, "walkthrough"),
        (["train", "--help"], 0, "--dataset"),
        (["train", "--recipe", "größer →"], 2, "error: recipe='gr"),
        (["predict", "7 → 八.png"], 1, "error: 7 "),
    ):
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(shown, encoding=encoding, write_through=True))
        assert call(*arguments).returncode == status
        assert expected in shown.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "Free some space there"), (errno.EDQUOT, "Free some space there"), (errno.EROFS, "Name a place"),
     (errno.EACCES, "Name a place"), (errno.EIO, None)],
)  # fmt: skip
def test_an_error_of_the_system_is_one_sentence_with_advice_that_fits(call, monkeypatch, tmp_path, number, advice):
    def fail(*_given, **_options):
        raise OSError(number, os.strerror(number), "somewhere/a.txt")

    monkeypatch.setattr("mnist_helpers.checkpoints.load_model", fail)
    done = call("filters", "--checkpoint", SHIPPED, "--output", tmp_path / "unwritten")
    assert done.returncode == 1
    said = f"error: somewhere/a.txt cannot be written or read ({os.strerror(number)})"
    assert done.stderr.startswith(said)
    assert (advice in done.stderr) if advice else (done.stderr.strip() == said)


def test_a_failure_of_several_lines_is_said_in_one_and_a_wrong_use_as_it_was_written(call, monkeypatch, tmp_path):
    def fail(error: Exception):
        def raising(*_given, **_options):
            raise error

        return raising

    given = ("filters", "--checkpoint", SHIPPED, "--output", tmp_path / "unwritten")
    for error, lines in ((CourseError("One.\nTwo.\nThree."), 1), (CourseError("One.\nTwo."), 2)):
        monkeypatch.setattr("mnist_helpers.checkpoints.load_model", fail(error))
        assert len(call(*given).stderr.splitlines()) == lines
    monkeypatch.setattr("mnist_helpers.checkpoints.load_model", fail(UsageError("One.\nTwo.\nThree.")))
    done = call(*given)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 3)
