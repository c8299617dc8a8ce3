"""Tables of images in every form that they are found in are read, or refused with what they are."""

import bz2
import gzip
import lzma
import os
import zipfile
from pathlib import Path

import pytest
import torch

from mnist_helpers.data import LabelledImages
from mnist_helpers.datasets import DataError
from mnist_helpers.reading import tables
from mnist_helpers.reading.tables import is_table, load_csv, load_pictures


def write_csv(path: Path, labelled: LabelledImages, header: bool = True) -> Path:
    names = ",".join(["label", *(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))])
    rows = torch.cat([labelled.labels[:, None], labelled.images.flatten(1).long()], dim=1).tolist()
    lines = [names] * header + [",".join(map(str, row)) for row in rows]
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("name", "header"), [("a.csv", True), ("a.csv", False), ("a.csv.gz", True)])
def test_a_csv_file_holds_the_same_images_as_the_original(tmp_path, train, name, header):
    read = load_csv(write_csv(tmp_path / name, train, header))
    assert torch.equal(read.images, train.images)
    assert torch.equal(read.labels, train.labels)
    assert read.digest() == train.digest()


PIXELS = ",".join(["7"] * 784)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no lines with images"),
        ("label,1x1\n", "has no lines with images"),
        ("3,1,2,3\n", "4 columns in 1 lines; a label and 784"),
        (f"12,{PIXELS}\n", "label 12 in its row 1"),
        (f"3,{PIXELS}\n10,{PIXELS}\n", "label 10 in its row 2"),
        (f"3,{PIXELS},5\n", "786 columns"),
        (f"3,{PIXELS}\n4,1,2\n", r"not in the form[^(]*\([^()']*columns[^()']*\)\.$"),
        (f"3,{PIXELS.replace('7', '256', 1)}\n", "not in the form.*256"),
        (f"3,{PIXELS.replace('7', '-1', 1)}\n", "not in the form.*-1"),
        (f"3,{PIXELS.replace('7', 'x', 1)}\n", "not in the form.*x"),
        ("\x00\x01", "not in the form"),
    ],
)  # fmt: skip
def test_a_csv_file_that_holds_something_else_is_said_plainly(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        load_csv(tmp_path / "a.csv")
    assert len(str(caught.value).splitlines()) == 1


def test_a_csv_file_that_is_missing_or_damaged_is_said_plainly(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        load_csv(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"3,4\n" * 999)[:20])
    with pytest.raises(DataError, match="a.csv.gz cannot be read"):
        load_csv(tmp_path / "a.csv.gz")
    (tmp_path / "a.csv.gz").write_bytes(b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 50)
    with pytest.raises(DataError, match="a.csv.gz cannot be read"):
        load_csv(tmp_path / "a.csv.gz")
    (tmp_path / "a.csv").write_bytes(b"7,\xff\xff")
    with pytest.raises(DataError, match="a.csv is no text in UTF-8: it holds the byte FF. Save it as UTF-8"):
        load_csv(tmp_path / "a.csv")


def written(path: Path, columns: list[torch.Tensor], names: str = "") -> Path:
    rows = torch.cat([column.reshape(len(columns[0]), -1).long() for column in columns], dim=1).tolist()
    path.write_text("\n".join([names] * bool(names) + [",".join(map(str, row)) for row in rows]) + "\n")
    return path


NAMES = ",".join(f"pixel{n}" for n in range(784))


@pytest.mark.parametrize("name", ["label", "class", "Digit", '"y"'])
def test_the_labels_may_stand_last_if_their_column_is_named(tmp_path, train, name):
    path = written(tmp_path / "a.csv", [train.images, train.labels], f"{NAMES},{name}")
    read = load_csv(path)
    assert torch.equal(read.labels, train.labels)
    assert torch.equal(read.images, train.images)
    assert torch.equal(load_pictures(path), train.images)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_table_that_windows_wrote_is_read(tmp_path, train, name):
    path = write_csv(tmp_path / name, train, header=False)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        content = file.read()
    with opened(path, "wb") as file:
        file.write(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    read = load_csv(path)
    assert torch.equal(read.images, train.images)
    assert torch.equal(read.labels, train.labels)


def test_a_table_is_told_by_its_name():
    assert all(is_table(Path(name)) for name in ("a.csv", "folder/A.CSV", "a.csv.gz"))
    assert not any(is_table(Path(name)) for name in ("a.png", "a.gz", "csv", "a.csv/b.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="This system has no named pipes in folders.")
def test_a_pipe_in_a_table_s_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match="a.csv is a pipe"):
        load_csv(tmp_path / "a.csv")


def test_labels_whose_place_is_not_known_are_not_guessed(tmp_path, train):
    ids = torch.arange(len(train)) % 256
    with pytest.raises(DataError, match=r"which column holds the labels: its columns are id, pixel0, …, pixel783"):
        load_csv(written(tmp_path / "a.csv", [ids, train.images], f"id,{NAMES}"))
    with pytest.raises(DataError, match="786 columns"):
        load_csv(written(tmp_path / "a.csv", [ids, train.images, train.labels], f"id,{NAMES},label"))
    with pytest.raises(DataError, match=r"label 0 in all its 640 rows. If the labels stand in the last column"):
        load_csv(written(tmp_path / "a.csv", [train.images, train.labels]))


@pytest.mark.parametrize("read", [load_csv, load_pictures])
@pytest.mark.parametrize("count", [4, 10, 300])
def test_labels_that_stand_last_without_a_name_are_not_taken_for_a_pixel(tmp_path, train, read, count):
    some = train.select(torch.arange(count))
    with pytest.raises(DataError, match="If the labels stand in the last column|Do the labels stand last"):
        read(written(tmp_path / "a.csv", [some.images, some.labels]))


@pytest.mark.parametrize("read", [load_csv, load_pictures])
def test_numbers_of_lines_are_not_taken_for_labels(tmp_path, train, read):
    images = train.images[:10]
    path = written(tmp_path / "a.csv", [torch.arange(10), images])
    with pytest.raises(DataError, match="counts its lines from 0 to 9"):
        read(path)
    named = written(tmp_path / "b.csv", [torch.arange(10), images], f"label,{NAMES}")
    assert torch.equal(load_csv(named).labels, torch.arange(10))


def test_digits_of_one_class_are_read_where_the_labels_are_named(tmp_path, train):
    sevens = train.select(train.labels == 7)
    read = load_csv(write_csv(tmp_path / "a.csv", sevens))
    assert set(read.labels.tolist()) == {7}
    assert len(load_csv(written(tmp_path / "a.csv", [sevens.labels[:9], sevens.images[:9]]))) == 9
    with pytest.raises(DataError, match="label 7 in all its 10 rows"):
        load_csv(written(tmp_path / "a.csv", [sevens.labels[:10], sevens.images[:10]]))


@pytest.mark.parametrize("names", ["", NAMES])
def test_a_table_without_labels_is_not_trained_on_and_its_pictures_are_read(tmp_path, train, names):
    path = written(tmp_path / "test.csv", [train.images], names)
    with pytest.raises(DataError, match="has no labels.*`predict` reads such a file"):
        load_csv(path)
    assert torch.equal(load_pictures(path), train.images)


def test_the_pictures_of_a_table_with_labels_are_read_too(csv_file, train):
    assert torch.equal(load_pictures(csv_file), train.images)


def test_emnist_s_images_are_put_upright(tmp_path, train):
    lying = LabelledImages(train.images.transpose(2, 3).contiguous(), train.labels, train.classes, "emnist_digits")
    read = load_csv(write_csv(tmp_path / "a.csv", lying), "emnist_digits")
    assert torch.equal(read.images, train.images)
    assert read.dataset == "emnist_digits"


def test_a_table_is_read_whatever_its_name_says_of_how_it_is_packed(tmp_path, train):
    packed = write_csv(tmp_path / "a.csv.gz", train)
    assert torch.equal(load_csv(packed.rename(tmp_path / "b.csv")).images, train.images)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("train.csv", "label\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (zipped, "is a zip archive.*Unpack it first.*--train-npz"),
        (lambda path: path.write_bytes(bz2.compress(b"7,0\n")), "packed with bzip2. Unpack it"),
        (lambda path: path.write_bytes(lzma.compress(b"7,0\n")), "packed with xz. Unpack it"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "an HDF5 file.*h5py"),
        (lambda path: path.write_bytes(b"\0\0\x08\x03 and more"), "an IDX file. Copy it into"),
        (lambda path: path.write_text("label,1x1\n7,0\n", encoding="utf-16"), "UTF-16. Save it as UTF-8"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00 and more"), "array of NumPy's"),
        (lambda path: path.write_bytes(b"MATLAB 5.0 MAT-file"), "scipy.io.loadmat reads it; data/README.md"),
        (lambda path: path.write_text("7;0;0\n"), "has ';' between its values. Save it with commas"),
        (lambda path: path.write_text("7\t0\t0\n"), "between its values. Save it with commas"),
        (lambda path: path.write_text("label,1x1\n7" + ",0" * 20_000), "line 2 is longer than 20,000"),
        (lambda path: path.mkdir(), "Is a directory|cannot be read"),
    ],
)
def test_another_form_is_named_with_its_remedy(tmp_path, make, said):
    make(tmp_path / "a.csv")
    with pytest.raises(DataError, match=said):
        load_csv(tmp_path / "a.csv")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="This system has no such devices.")
def test_a_device_without_an_end_is_refused():
    with pytest.raises(DataError, match="is a device, which may have no end"):
        load_csv(Path("/dev/zero"))


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="This system's shell hands over no files.")
def test_what_a_shell_hands_over_is_read(train):
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        file.write(",".join(map(str, [7, *train.images[0].flatten().tolist()])))
    assert load_csv(Path(f"/dev/fd/{reading}")).labels.tolist() == [7]
    os.close(reading)


def test_a_long_line_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_LINE", 10)
    (tmp_path / "a.csv").write_text("1" * 1_000)
    with (tmp_path / "a.csv").open() as file, pytest.raises(DataError, match="line 1 is longer"):
        next(tables._lines(tmp_path / "a.csv", file))
    with pytest.raises(DataError, match="longer than 10"):
        load_csv(tmp_path / "a.csv")
