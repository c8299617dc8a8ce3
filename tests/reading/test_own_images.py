"""A folder of pictures for each class, and NumPy's files: read as they are meant, or refused with what they are."""

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_helpers.datasets import DataError
from mnist_helpers.reading.own_images import load_folder, load_npz
from mnist_helpers.reading.pictures import open_picture
from mnist_helpers.reading.preprocessing import read_digit


def photo(digit: torch.Tensor) -> Image.Image:
    """Return a digit as dark ink on a light sheet."""
    sheet = Image.new("L", (200, 260), 230)
    sheet.paste(Image.fromarray(255 - digit.numpy()).resize((112, 112)).point(lambda grey: grey * 230 // 255), (40, 70))
    return sheet


@pytest.fixture
def folder(tmp_path, train):
    for number in range(20):
        place = tmp_path / "own" / str(int(train.labels[number]))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(train.images[number, 0].numpy()).save(place / f"{number:02}.png")
    return tmp_path / "own"


def test_pictures_of_28_pixels_are_taken_as_they_are(folder, train):
    read = load_folder(folder)
    order = train.labels[:20].argsort(stable=True)
    assert torch.equal(read.images, train.images[:20][order])
    assert torch.equal(read.labels, train.labels[:20][order])
    assert (read.classes, read.dataset) == (train.classes, "mnist")


def test_dark_ink_on_light_paper_is_turned_round(folder, train):
    path = folder / str(int(train.labels[0])) / "00.png"
    before = load_folder(folder).images
    Image.fromarray(255 - train.images[0, 0].numpy()).convert("RGB").save(path)
    assert torch.equal(load_folder(folder).images, before)


def test_a_larger_picture_goes_through_the_steps_that_predict_takes(tmp_path, train):
    (tmp_path / "own" / "7").mkdir(parents=True)
    path = tmp_path / "own" / "7" / "photo.png"
    photo(train.images[train.labels == 7][0, 0]).save(path)
    read = load_folder(tmp_path / "own")
    assert torch.equal(read.images[0], read_digit(open_picture(path)).digit)
    assert read.labels.tolist() == [7]


def test_folders_may_be_called_by_their_classes_and_what_systems_leave_is_passed_over(tmp_path, train):
    for name in ("Sandal", "ankle boot", "2"):
        (tmp_path / name).mkdir()
        Image.fromarray(train.images[0, 0].numpy()).save(tmp_path / name / "a.png")
        (tmp_path / name / "Thumbs.db").write_bytes(b"x")
        (tmp_path / name / ".DS_Store").write_bytes(b"x")
        (tmp_path / name / ".ipynb_checkpoints").mkdir()
        (tmp_path / name / ".ipynb_checkpoints" / "a-checkpoint.png").write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "notes.txt").write_text("where they are from")
    assert load_folder(tmp_path, "fashion_mnist").labels.tolist() == [2, 5, 9]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "should hold a folder of pictures for each class, 0 to 9, but holds nothing"),
        (("testing/0", "training/0"), "but holds testing, training"),
        (("0", "10"), "but holds 0, 10"),
        (("0", "1"), "There are no pictures"),
    ],
)
def test_a_folder_of_another_form_is_named_with_what_it_holds(tmp_path, names, said):
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DataError, match=said):
        load_folder(tmp_path)


def test_a_folder_that_is_none_is_said_plainly(tmp_path):
    with pytest.raises(DataError, match="none cannot be read .No such file"):
        load_folder(tmp_path / "none")
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="a.zip cannot be read .Not a directory"):
        load_folder(tmp_path / "a.zip")


def test_pictures_without_a_digit_are_counted_and_the_first_is_named(folder):
    Image.new("L", (90, 90), 200).save(folder / "3" / "blank.png")
    (folder / "3" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"2 of 22 files in .*Mend or remove them. The first: .*blank.png.*no ink"):
        load_folder(folder)


def test_keras_s_file_is_read_with_its_test_part(tmp_path, train, val):
    path = tmp_path / "mnist.npz"
    images, labels = train.images[:, 0].numpy(), train.labels.numpy().astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=val.images[:, 0].numpy(), y_test=val.labels.numpy())
    ours, test = load_npz(path)
    assert ours.digest() == train.digest()
    assert test.digest() == val.digest()
    np.savez_compressed(path, x_train=images[..., None].astype(np.int64), y_train=labels[:, None])
    ours, test = load_npz(path)
    assert ours.digest() == train.digest()
    assert test is None


IMAGES, LABELS = np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"arr_0": IMAGES}, r"holds arr_0; x_train and y_train are wanted.*numpy.savez"),
        ({"x_train": IMAGES}, "holds x_train; x_train and y_train are wanted"),
        ({"x_train": np.zeros((3, 16, 16)), "y_train": LABELS}, r"x_train .* has the shape \(3, 16, 16\); N × 28 × 28"),
        ({"x_train": np.uint8(3), "y_train": LABELS}, r"has the shape \(\)"),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, r"has the shape \(0, 28, 28\)"),
        (
            {"x_train": IMAGES, "y_train": np.zeros((3, 10))},
            r"y_train .* has the shape \(3, 10\); a number for each of 3",
        ),
        ({"x_train": IMAGES / 255, "y_train": LABELS}, "x_train .* holds float64 from 0 to 0; .*multiplied by 255"),
        ({"x_train": IMAGES.astype(int) - 1, "y_train": LABELS}, "x_train .* holds int64 from -1 to -1"),
        ({"x_train": IMAGES, "y_train": LABELS + 10}, "y_train .* from 10 to 10; whole numbers from 0 to 9"),
        ({"x_train": IMAGES, "y_train": np.array(["a"] * 3)}, "no whole .npz file of plain numbers"),
    ],
)
def test_arrays_of_another_form_are_named(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=said) as caught:
        load_npz(tmp_path / "a.npz")
    assert len(str(caught.value).splitlines()) == 1


def test_python_objects_in_an_array_are_not_unpacked(tmp_path):
    objects = np.empty(3, object)
    objects[:] = [zipfile.ZipFile] * 3
    np.savez(tmp_path / "a.npz", x_train=objects, y_train=LABELS)
    with pytest.raises(DataError, match="Python objects, which could run code and are not unpacked"):
        load_npz(tmp_path / "a.npz")


def array_of(count: int) -> bytes:
    """Return an array of NumPy's whose head says more than there is."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, 28, 28)})
    return file.getvalue() + bytes(100)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no .npz file of NumPy. --train-csv reads tables"),
        (b"label,1x1\n", "is no .npz file of NumPy. --train-csv reads tables"),
        (b"MATLAB 5.0 MAT-file", "is a MATLAB file. scipy.io.loadmat reads it"),
        (b"PK\x03\x04 broken", "damaged"),
        (array_of(3), "is an array of NumPy's"),
    ],
)
def test_a_file_that_is_no_npz_is_refused_in_a_line(tmp_path, content, said):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        load_npz(tmp_path / "a.npz")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("count", [3, 10**12])
def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path, count):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x_train.npy", array_of(count))
        file.writestr("y_train.npy", array_of(count))
    with pytest.raises(DataError, match="no whole .npz file|damaged"):
        load_npz(tmp_path / "a.npz")


def test_what_would_fill_the_memory_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("x_train.npy", bytes(1000))
    with pytest.raises(DataError, match="is packed in another way than NumPy packs"):
        load_npz(path)
    np.savez_compressed(path, x_train=IMAGES, y_train=LABELS)
    monkeypatch.setattr("mnist_helpers.reading.own_images.LARGEST", 1000)
    with pytest.raises(DataError, match="x_train.npy in .* would take"):
        load_npz(path)
