"""Files that are missing, damaged, read-only, in other places; and a network that is not there."""

import functools
import gzip
import hashlib
import shutil
import socket
import struct
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
import torch
import torchvision

from mnist_helpers import datasets
from mnist_helpers.datasets import SYSTEM_FOLDERS, DataError, class_names, dataset_root, read_images
from mnist_helpers.errors import UsageError
from mnist_helpers.runtime import ROOT, cache_folder

PACKED = ROOT / "data" / "MNIST" / "raw"
NAMES = [name for name, _ in torchvision.datasets.MNIST.resources]


@pytest.fixture
def data(tmp_path) -> Path:
    """A data folder as it is in a fresh clone."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in NAMES:
        shutil.copy(PACKED / name, raw)
    return tmp_path / "data"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def write_idx(path: Path, values: torch.Tensor, kind: int = 8) -> None:
    header = struct.pack(f">{values.ndim + 1}I", kind * 256 + values.ndim, *values.shape)
    numbers = values.numpy().astype({8: ">u1", 12: ">i4"}[kind])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + numbers.tobytes())


def write_kmnist(raw: Path) -> None:
    for part in ("train", "t10k"):
        write_idx(raw / f"{part}-images-idx3-ubyte", torch.arange(2 * 784).view(2, 28, 28) % 256)
        write_idx(raw / f"{part}-labels-idx1-ubyte", torch.tensor([3, 9]))


@pytest.mark.usefixtures("no_network")
def test_a_fresh_clone_is_read_without_a_network_as_torchvision_reads_it(data):
    images, labels = read_images("mnist", train=True, data=data)
    official = torchvision.datasets.MNIST(data, train=True)
    assert images.shape == (60_000, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert torch.equal(images[:, 0], official.data)
    assert torch.equal(labels, official.targets)


def test_torchvision_itself_accepts_the_committed_files(data, no_network):
    assert len(torchvision.datasets.MNIST(data, train=False, download=True)) == 10_000


def test_a_second_reading_unpacks_nothing(data, monkeypatch):
    dataset_root("mnist", data)
    monkeypatch.setattr(datasets, "_unpack", lambda *_: pytest.fail("unpacked again"))
    assert dataset_root("mnist", data) == data


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("damage", ["truncated", "one byte changed", "missing", "empty", "packed wrongly"])
def test_a_damaged_file_is_named_with_both_md5_sums_and_nothing_is_changed(data, damage):
    path = data / "MNIST" / "raw" / NAMES[0]
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        damaged = {"truncated": content[:5000], "one byte changed": b"\0" + content[1:], "empty": b""}
        damaged["packed wrongly"] = b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 50
        path.write_bytes(damaged[damage])
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(DataError) as caught:
        read_images("mnist", train=True, data=data)
    message = str(caught.value)
    assert str(path) in message
    assert dict(torchvision.datasets.MNIST.resources)[NAMES[0]] in message
    assert "found" in message
    assert "Get the file again" in message
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03half of it"])
def test_a_damaged_unpacked_file_is_made_again(data, content):
    dataset_root("mnist", data)
    unpacked = data / "MNIST" / "raw" / "train-images-idx3-ubyte"
    unpacked.write_bytes(content)
    assert read_images("mnist", train=True, data=data)[0].shape == (60_000, 1, 28, 28)


def test_where_data_is_read_only_the_cache_is_used(data, monkeypatch):
    # Root may write anywhere, so permissions alone would not refuse it: the refusal is put in by hand.
    real = datasets.whole_file

    def refuse_data(path):
        if path.is_relative_to(data):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(datasets, "whole_file", refuse_data)
    assert dataset_root("mnist", data) == cache_folder()
    assert sorted(path.name for path in (data / "MNIST" / "raw").iterdir()) == sorted(NAMES)


@pytest.mark.usefixtures("no_network")
def test_an_installed_package_brings_the_digits_and_unpacks_them_into_the_cache(data, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "INSTALLED", True)
    monkeypatch.setattr(datasets, "shipped", lambda path: data.parent / path)
    folder = tmp_path / "a folder of the reader's"
    assert dataset_root("mnist", folder / "data") == cache_folder()
    assert not folder.exists()
    assert sorted(path.name for path in (data / "MNIST" / "raw").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize(
    ("installed", "remedy"), [(True, "Install mnist-helpers again"), (False, "git checkout -- train-images")]
)
def test_where_a_shipped_file_is_damaged_the_remedy_is_where_it_came_from(data, monkeypatch, installed, remedy):
    monkeypatch.setattr(datasets, "INSTALLED", installed)
    monkeypatch.setattr(datasets, "shipped", lambda path: data.parent / path)
    (data / "MNIST" / "raw" / NAMES[0]).write_bytes(b"cut off")
    with pytest.raises(DataError, match=remedy):
        dataset_root("mnist", data)


def test_a_full_disk_is_said_plainly(data, monkeypatch):
    def refuse(_path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets, "whole_file", refuse)
    with pytest.raises(DataError, match="could not be unpacked.*No space left on device.*XDG_CACHE_HOME"):
        dataset_root("mnist", data)


def test_two_readers_at_once_both_succeed(data):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(read_images("mnist", train=False, data=data)[0].shape))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(10_000, 1, 28, 28)] * 3


def test_an_unknown_dataset_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'mnst'.*mnist, fashion_mnist, kmnist, qmnist, emnist_digits"):
        read_images("mnst", train=True)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("dataset", ["kmnist", "qmnist", "emnist_digits"])
def test_without_a_network_a_download_ends_in_a_sentence(dataset, tmp_path):
    with pytest.raises(
        DataError, match=f"{dataset} is not on this machine.*unreachable.*Connect to the network"
    ) as caught:
        read_images(dataset, train=True, data=tmp_path)
    assert "not read from" not in str(caught.value)  # nothing lies there


def test_an_error_without_words_is_named_by_its_kind(tmp_path, monkeypatch):
    def break_off(_kind):
        raise ConnectionResetError

    monkeypatch.setattr(datasets, "_torchvision", break_off)
    with pytest.raises(DataError, match=r"could not be downloaded \(ConnectionResetError\)"):
        read_images("qmnist", train=True, data=tmp_path)


def test_a_server_that_never_answers_does_not_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "NETWORK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [address])
        with pytest.raises(DataError, match="kmnist is not on this machine.*timed out"):
            read_images("kmnist", train=True, data=tmp_path)
    assert socket.getdefaulttimeout() is None
    assert not (cache_folder() / "KMNIST").exists()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def qmnist_on_a_server(tmp_path, monkeypatch):
    """Serve two images and their labels for each part; say where they lie, and which files were sent."""
    served, sent = tmp_path / "served", []
    for part, labels in (("train", [7, 4]), ("test", [1, 2])):
        write_idx(served / f"qmnist-{part}-images-idx3-ubyte", torch.arange(2 * 784).view(2, 28, 28) % 251)
        write_idx(served / f"qmnist-{part}-labels-idx2-int", torch.tensor([[labels[0], 1], [labels[1], 2]]), kind=12)
    for path in list(served.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))

    class Handler(QuietHandler):
        def do_GET(self):
            sent.append(self.path.removeprefix("/"))
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=served)) as server:
        resources = {
            part: [
                (f"http://127.0.0.1:{server.server_port}/{path.name}", hashlib.md5(path.read_bytes()).hexdigest())
                for path in sorted(served.glob(f"qmnist-{part}-*.gz"))
            ]
            for part in ("train", "test")
        }
        monkeypatch.setattr(torchvision.datasets.QMNIST, "resources", resources)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield served, sent
        server.shutdown()
        thread.join()


def test_what_is_downloaded_lies_in_the_cache_and_is_downloaded_once(qmnist_on_a_server, tmp_path):
    served, sent = qmnist_on_a_server
    for asked in ({path.name for path in served.glob("*.gz")}, set()):
        images, labels = read_images("qmnist", train=True, data=tmp_path / "data")
        assert torch.equal(images[:, 0], torch.arange(2 * 784).view(2, 28, 28) % 251)
        assert labels.tolist() == [7, 4]
        assert read_images("qmnist", train=False, data=tmp_path / "data")[1].tolist() == [1, 2]
        assert set(sent) == asked
        sent.clear()
    for lost in (cache_folder() / "QMNIST" / "raw").glob("qmnist-test-images-*"):
        lost.unlink()
    assert read_images("qmnist", train=False, data=tmp_path / "data")[1].tolist() == [1, 2]
    assert not (tmp_path / "data").exists()
    assert [path.name for path in cache_folder().iterdir()] == ["QMNIST"]  # nothing temporary is left
    assert socket.getdefaulttimeout() is None


def test_what_lies_in_the_data_folder_already_is_not_downloaded_again(qmnist_on_a_server, tmp_path):
    served, sent = qmnist_on_a_server
    raw = tmp_path / "data" / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in served.glob("qmnist-train-*[!z]"):
        shutil.copy(path, raw)
    before = sorted(raw.iterdir())
    assert read_images("qmnist", train=True, data=tmp_path / "data")[1].tolist() == [7, 4]
    assert set(sent) == {path.name for path in served.glob("qmnist-test-*.gz")}
    assert sorted(raw.iterdir()) == before


def test_a_download_that_breaks_off_leaves_nothing_in_the_cache_and_may_be_tried_again(qmnist_on_a_server, tmp_path):
    last = qmnist_on_a_server[0] / "qmnist-test-labels-idx2-int.gz"
    whole = last.read_bytes()
    last.write_bytes(b"cut off")
    with pytest.raises(DataError, match="qmnist is not on this machine and could not be downloaded"):
        read_images("qmnist", train=True, data=tmp_path / "data")
    assert not any(path.is_file() for path in cache_folder().rglob("*"))
    last.write_bytes(whole)
    assert read_images("qmnist", train=True, data=tmp_path / "data")[1].tolist() == [7, 4]


def test_a_server_of_another_kind_ends_in_a_sentence(tmp_path, monkeypatch):
    class Stranger(StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(b"220 and no word of HTTP\r\n")

    with ThreadingTCPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", [address])
        with pytest.raises(DataError, match=r"kmnist is not on this machine.*\(220 and no word of HTTP\)"):
            read_images("kmnist", train=True, data=tmp_path)
        server.shutdown()
        thread.join()


def test_a_local_copy_of_kmnist_is_read(tmp_path):
    write_kmnist(tmp_path / "KMNIST" / "raw")
    images, labels = read_images("kmnist", train=False, data=tmp_path)
    assert images.shape == (2, 1, 28, 28)
    assert labels.tolist() == [3, 9]


@pytest.mark.parametrize(
    ("dataset", "images", "labels"),
    [
        ("kmnist", "KMNIST/raw/{}-images-idx3-ubyte", "KMNIST/raw/{}-labels-idx1-ubyte"),
        ("qmnist", "QMNIST/raw/qmnist-{}-images-idx3-ubyte", "QMNIST/raw/qmnist-{}-labels-idx2-int"),
        (
            "emnist_digits",
            "EMNIST/raw/emnist-digits-{}-images-idx3-ubyte",
            "EMNIST/raw/emnist-digits-{}-labels-idx1-ubyte",
        ),
    ],
)
def test_the_parts_of_a_set_are_not_confused(tmp_path, dataset, images, labels):
    for train in (True, False):
        part = "train" if train else "t10k" if dataset == "kmnist" else "test"
        write_idx(tmp_path / images.format(part), torch.full((3 + train, 28, 28), 7 + train))
        values = torch.full((3 + train,), 1 + train)
        wide = dataset == "qmnist"
        write_idx(tmp_path / labels.format(part), values[:, None].expand(-1, 8) if wide else values, 12 if wide else 8)
    for train in (True, False):
        found, named = read_images(dataset, train, data=tmp_path)
        assert found.shape == (3 + train, 1, 28, 28)
        assert found.is_contiguous()
        assert (found == 7 + train).all()
        assert named.dtype == torch.int64
        assert named.tolist() == [1 + train] * (3 + train)


def dotted(path: Path) -> None:
    path.rename(path.with_name(path.name.replace("-idx", ".idx")))


def in_a_folder_of_its_name(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / path.name).write_bytes(content)


@pytest.mark.parametrize("change", [dotted, in_a_folder_of_its_name])
def test_files_under_the_names_that_archives_give_them_are_found(tmp_path, change):
    raw = tmp_path / "KMNIST" / "raw"
    write_kmnist(raw)
    for path in list(raw.iterdir()):
        change(path)
    images, labels = read_images("kmnist", train=False, data=tmp_path)
    assert images.shape == (2, 1, 28, 28)
    assert labels.tolist() == [3, 9]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_files_of_mnist_with_a_dot_are_checked_and_read(data, suffix):
    raw = data / "MNIST" / "raw"
    expected = read_images("mnist", train=False, data=data)[0]
    for path in list(raw.iterdir()):
        (dotted if path.suffix == suffix else Path.unlink)(path)
    assert torch.equal(read_images("mnist", train=False, data=data)[0], expected)
    for path in raw.iterdir():
        if "t10k-images" in path.name:
            path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(
        DataError, match=r"t10k-images.idx3-ubyte\S* is missing, truncated or damaged: its MD5 should be"
    ):
        read_images("mnist", train=False, data=data)


@pytest.mark.usefixtures("no_network")
def test_some_files_may_be_packed_and_others_not_whatever_their_names_say(data):
    raw = data / "MNIST" / "raw"
    for name in NAMES[:2]:
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress((raw / name).read_bytes()))
        (raw / name).unlink()
    unpacked = raw / NAMES[2]  # by a browser that left the name
    unpacked.write_bytes(gzip.decompress(unpacked.read_bytes()))
    (raw / NAMES[3]).rename(raw / NAMES[3].removesuffix(".gz"))
    assert read_images("mnist", train=True, data=data)[0].shape == (60_000, 1, 28, 28)
    assert read_images("mnist", train=False, data=data)[0].shape == (10_000, 1, 28, 28)


@pytest.mark.usefixtures("no_network")
def test_emnist_is_read_from_the_folder_of_its_archive(tmp_path):
    for part in ("train", "test"):
        for what, values in (("images-idx3", torch.ones(1, 28, 28)), ("labels-idx1", torch.tensor([4]))):
            path = tmp_path / "EMNIST" / "raw" / "gzip" / f"emnist-digits-{part}-{what}-ubyte"
            write_idx(path, values)
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    assert read_images("emnist_digits", train=False, data=tmp_path)[1].tolist() == [4]
    path.with_name(path.name + ".gz").write_bytes(b"\x1f\x8b broken")
    shutil.rmtree(cache_folder(), ignore_errors=True)
    (tmp_path / "EMNIST" / "raw" / path.name).unlink()
    with pytest.raises(DataError, match=f"{path.name}.gz is missing, truncated or damaged. Get the file again"):
        read_images("emnist_digits", train=False, data=tmp_path)


@pytest.mark.usefixtures("no_network")
def test_files_of_another_form_are_named_where_the_right_ones_are_missing(tmp_path):
    (tmp_path / "EMNIST" / "raw").mkdir(parents=True)
    (tmp_path / "EMNIST" / "raw" / "emnist-digits.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(
        DataError, match=r"not read from emnist-digits.mat; data/README.md says how to convert"
    ) as caught:
        read_images("emnist_digits", train=True, data=tmp_path)
    assert "emnist-digits-train-images-idx3-ubyte" in str(caught.value)
    assert str(tmp_path / "EMNIST" / "raw") in str(caught.value)


def test_qmnist_labels_are_its_first_column(tmp_path):
    raw = tmp_path / "QMNIST" / "raw"
    for part in ("train", "test"):
        write_idx(raw / f"qmnist-{part}-images-idx3-ubyte", torch.zeros(2, 28, 28))
        write_idx(raw / f"qmnist-{part}-labels-idx2-int", torch.tensor([[7, 1, 2], [4, 0, 1]]), kind=12)
    packed = raw / "qmnist-train-images-idx3-ubyte"  # under the name of an unpacked file
    packed.write_bytes(gzip.compress(packed.read_bytes()))
    images, labels = read_images("qmnist", train=True, data=tmp_path)
    assert images.shape == (2, 1, 28, 28)
    assert labels.tolist() == [7, 4]


def test_emnist_images_are_turned_upright(tmp_path):
    upright = torch.zeros(1, 28, 28)
    upright[0, 2, 20] = 255  # row 2, column 20
    for part in ("train", "test"):
        write_idx(tmp_path / "EMNIST" / "raw" / f"emnist-digits-{part}-images-idx3-ubyte", upright.transpose(1, 2))
        write_idx(tmp_path / "EMNIST" / "raw" / f"emnist-digits-{part}-labels-idx1-ubyte", torch.tensor([1]))
    images, _ = read_images("emnist_digits", train=True, data=tmp_path)
    assert images[0, 0, 2, 20] == 255


def test_a_truncated_unpacked_file_of_another_set_names_its_folder(tmp_path):
    for part in ("train", "t10k"):
        write_idx(tmp_path / "KMNIST" / "raw" / f"{part}-images-idx3-ubyte", torch.zeros(2, 28, 28))
        write_idx(tmp_path / "KMNIST" / "raw" / f"{part}-labels-idx1-ubyte", torch.tensor([3, 9]))
    path = tmp_path / "KMNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"kmnist in .*KMNIST could not be read.*Remove its unpacked files"):
        read_images("kmnist", train=True, data=tmp_path)


@pytest.mark.skipif(
    not SYSTEM_FOLDERS["fashion_mnist"].is_dir(),
    reason="Fashion-MNIST is not on this machine (Debian: apt-get install dataset-fashion-mnist)",
)
def test_fashion_mnist_comes_from_the_system_with_its_own_classes(tmp_path, no_network):
    images, labels = read_images("fashion_mnist", train=True, data=tmp_path / "data")
    assert images.shape == (60_000, 1, 28, 28)
    assert torch.bincount(labels).tolist() == [6_000] * 10
    assert class_names("fashion_mnist")[labels[0]] == "Ankle boot"
    with gzip.open(SYSTEM_FOLDERS["fashion_mnist"] / "train-images-idx3-ubyte.gz") as file:
        assert file.read()[16 : 16 + 784] == images[0].numpy().tobytes()


def test_digit_sets_name_their_classes_by_the_digit():
    assert class_names("mnist") == class_names("qmnist") == tuple("0123456789")
    assert class_names("kmnist")[0] == "o"
