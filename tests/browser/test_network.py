"""The network in the browser: each map of torch's and its logits, strokes that become the same digit, and its speed."""

import base64
import json
import statistics
from pathlib import Path
from random import Random

import pytest
import torch
from figures import put_figures
from playwright.sync_api import Page
from strokes import drawings, in_another_hand
from torch import Tensor, nn

import mnist_helpers
from mnist_helpers.checkpoints import DRAWINGS, find_model, load_model
from mnist_helpers.data import load_part, to_float
from mnist_helpers.evaluation import predict_logits
from mnist_helpers.exporting import export_web
from mnist_helpers.models import build_model
from mnist_helpers.widgets.strokes import Stroke, digit_of

WIDGETS = Path(mnist_helpers.__file__).parent / "widgets"
HOST = "http://course.test"  # nobody's: the test answers for it, from a folder
PAGE = "<!doctype html><title>network</title>"
TYPES = {".js": "text/javascript", ".json": "application/json", ".html": "text/html"}
READ = """async () => {
    const engine = await import("/network.js");
    const header = await (await fetch("/network.json")).json();
    const weights = await (await fetch("/network.bin")).arrayBuffer();
    Object.assign(window, { engine, network: engine.readNetwork(header, weights) });
}"""


@pytest.fixture
def open_page(visit, tmp_path):
    """Open a page on a host that has the widgets' modules, and the files of this test's folder."""

    def answer(route) -> None:
        name = route.request.url.removeprefix(HOST).lstrip("/")
        path = next((folder / name for folder in (tmp_path, WIDGETS) if name and (folder / name).is_file()), None)
        if path is None:
            route.fulfill(body=PAGE, content_type="text/html")
        else:
            route.fulfill(body=path.read_bytes(), content_type=TYPES.get(path.suffix, "application/octet-stream"))

    return lambda: visit(HOST + "/", before=lambda page: page.route("**/*", answer))


def shipped(dtype: torch.dtype, folder: Path, which: Path | None = None) -> nn.Sequential:
    """Write the shipped network, or another one, for the page; return it with the weights that the page has."""
    model, card = load_model(which or find_model("mnist", "walkthrough"))
    export_web(model, folder, card.classes, dtype)
    for parameter in model.parameters():
        parameter.data = parameter.to(dtype).float()
    return model.eval()


def logits_in(page: Page, images: Tensor) -> Tensor:
    script = """text => {
        const pixels = Float32Array.from(atob(text), letter => letter.charCodeAt(0) / 255);
        const starts = Array.from({ length: pixels.length / 784 }, (_, image) => 784 * image);
        return starts.map(at => [...engine.forward(network, pixels.subarray(at, at + 784)).at(-1).values]);
    }"""
    pixels = base64.b64encode((images * 255).round().to(torch.uint8).numpy().tobytes()).decode()
    return torch.tensor(page.evaluate(script, pixels))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_logits_of_a_thousand_test_images_are_torch_s(open_page, tmp_path, dtype):
    model, images = shipped(dtype, tmp_path), to_float(load_part("mnist", "test", 1_000).images)
    page = open_page()
    page.evaluate(READ)
    with torch.inference_mode():
        ours, theirs = logits_in(page, images), model(images)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    largest = f"{(ours - theirs).abs().max():.1e}"
    put_figures({f"largest difference from torch's logits, 1,000 images, {dtype}": largest})


def test_every_map_in_between_is_torch_s(open_page, tmp_path):
    model, images = shipped(torch.float32, tmp_path), to_float(load_part("mnist", "test", 20).images)
    page = open_page()
    page.evaluate(READ)
    for image in images:
        script = "i => engine.forward(network, i).map(m => ({ ...m, values: [...m.values] }))"
        maps = page.evaluate(script, image.flatten().tolist())
        values = image[None]
        used = [(name, layer) for name, layer in model.named_children() if "dropout" not in name]
        assert [found["name"] for found in maps] == ["image", *(name for name, _ in used)]
        for (_, layer), found in zip(used, maps[1:], strict=True):
            with torch.inference_mode():
                values = layer(values)
            ours = torch.tensor(found["values"]).view(found["shape"])
            torch.testing.assert_close(ours, values[0], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["lenet-5", "three-conv", "ten-twenty", "vgg", "accurate", "fast"])
def test_padding_stride_normalisation_and_a_cut_margin_give_torch_s_logits(open_page, tmp_path, architecture):
    torch.manual_seed(2)
    model, images = build_model(architecture, dropout=0.5), to_float(load_part("mnist", "test", 20).images)
    model.train()
    with torch.no_grad():
        for norm in (layer for layer in model.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)):
            norm.weight.uniform_(-1, 1)  # below 0, too: what pooling took before it must stay
            norm.bias.uniform_(-1, 1)
    model(images)  # running means of its own
    export_web(model, tmp_path, [str(digit) for digit in range(10)], torch.float32)
    page = open_page()
    page.evaluate(READ)
    with torch.inference_mode():
        torch.testing.assert_close(logits_in(page, images), model.eval()(images), atol=1e-4, rtol=1e-4)


def test_strokes_become_the_digit_that_python_makes_of_them(open_page):
    page = open_page()
    script = "async strokes => [...(await import('/strokes.js')).digitOf(strokes)]"
    pens = [0.01, 0.4]  # finer and thicker than MNIST's
    for drawing, pen in [*((drawing, drawing.pen) for drawing in drawings()), *zip(drawings(), pens, strict=False)]:
        strokes = [Stroke(points, pen) for points in drawing.strokes]
        sent = [{"points": stroke.points, "width": stroke.width} for stroke in strokes]
        ours = torch.tensor(page.evaluate(script, sent), dtype=torch.uint8).view(1, 28, 28)
        assert (ours.int() - digit_of(strokes).int()).abs().max() <= 2, drawing


@pytest.mark.parametrize("which", [None, DRAWINGS], ids=["shipped", "the site's"])
def test_drawn_digits_are_read(open_page, tmp_path, which):
    shipped(torch.float16, tmp_path, which)
    page = open_page()
    page.evaluate(READ)
    script = """async strokes => {
        const { digitOf } = await import("/strokes.js"), started = performance.now(), digit = digitOf(strokes);
        const ready = performance.now(), maps = engine.forward(network, Float32Array.from(digit, value => value / 255));
        const ended = performance.now();
        return { logits: [...maps.at(-1).values], forward: ended - ready, drawing: ended - started };
    }"""
    sent = [[{"points": points, "width": drawing.pen} for points in drawing.strokes] for drawing in drawings()]
    for strokes in sent[:10]:  # the first calls are slower: the browser has not compiled anything yet
        page.evaluate(script, strokes)
    answers = [page.evaluate(script, strokes) for strokes in sent]
    read = [torch.tensor(answer["logits"]).argmax().item() for answer in answers]
    right = sum(digit == drawing.digit for digit, drawing in zip(read, drawings(), strict=True))
    figures = {"drawings": len(read), "read correctly": right} | {
        f"milliseconds of a {what}, {name}": round(of([answer[what] for answer in answers]), 1)
        for what in ("forward", "drawing")
        for name, of in (
            ("median", statistics.median),
            ("95th percentile", lambda row: statistics.quantiles(row, n=20)[-1]),
        )
    }
    if which:
        put_figures({what: str(value) for what, value in figures.items()})
    assert right >= 58, f"{right} of {len(read)} drawings were read correctly"


@pytest.mark.weekly  # for the figures
def test_drawings_in_many_hands_are_read_best_by_the_network_that_is_trained_for_drawings():
    drawn = Random(7)
    varied = [in_another_hand(drawing, drawn) for drawing in drawings() for _ in range(20)]
    images = torch.stack([digit_of([Stroke(stroke, one.pen) for stroke in one.strokes]) for one in varied])
    labels = torch.tensor([one.digit for one in varied])
    right = {}
    for folder in (DRAWINGS, find_model("mnist", "walkthrough")):
        logits = predict_logits(load_model(folder)[0], images)
        right[folder.name] = (logits.argmax(dim=1) == labels).float().mean().item()
    put_figures(
        {f"of {len(varied):,} drawings in many hands, read by `{name}`": f"{of:.1%}" for name, of in right.items()}
    )
    assert right["drawings"] > 0.98
    assert right["drawings"] > right["walkthrough"]


def test_every_number_is_explained_by_those_it_comes_from(open_page, tmp_path):
    shipped(torch.float32, tmp_path)
    page = open_page()
    page.evaluate(READ)
    image = to_float(load_part("mnist", "test", 1).images).flatten().tolist()
    page.evaluate("i => { window.maps = engine.forward(network, i); }", image)
    names = page.evaluate("maps.map(map => map.name)")

    def explained(layer: str, *place: int) -> dict:
        return page.evaluate("([at, place]) => engine.explain(network, maps, at, place)", [names.index(layer), place])

    found = explained("conv2", 5, 3, 4)
    total = found["bias"] + sum(
        a * b for one in found["channels"] for a, b in zip(one["patch"], one["kernel"], strict=True)
    )
    assert len(found["channels"]) == 32
    assert total == pytest.approx(found["result"], abs=1e-5)
    found = explained("pool1", 7, 6, 5)
    assert max(found["square"]) == found["result"]
    assert found["place"] == {"top": 12, "left": 10, "size": 2}
    found = explained("dense2", 7)
    assert found["bias"] + found["sum"] == pytest.approx(found["result"], abs=1e-5)
    assert found["strongest"][0]["product"] >= found["strongest"][1]["product"] > found["against"][0]["product"]


def the_largest() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 5), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(3, 10))


@pytest.mark.parametrize("network", [lambda: build_model("accurate"), the_largest])
def test_what_is_copied_or_chosen_says_from_where(open_page, tmp_path, network):
    export_web(network(), tmp_path, list("0123456789"), torch.float32)
    page = open_page()
    page.evaluate(READ)
    image = to_float(load_part("mnist", "test", 1).images).flatten().tolist()
    page.evaluate("i => { window.maps = engine.forward(network, i); }", image)
    kinds = ["image", *page.evaluate("network.layers.map(layer => layer.kind)")]
    tried = 0
    for at, kind in enumerate(kinds):
        for place in ([0, 2, 3], [0, 0, 0]):
            if kind not in ("pad", "largest"):
                continue
            found = page.evaluate("([at, place]) => engine.explain(network, maps, at, place)", [at, place])
            values, (_, height, width) = page.evaluate("at => [[...maps[at].values], maps[at].shape]", at - 1)
            own = values[height * width * found["channel"] :][: height * width]
            copied = own[found["place"]["top"] * width + found["place"]["left"]] if found["place"] else 0
            assert copied == found["result"]
            assert kind == "pad" or found["result"] == max(own)
            tried += 1
    assert tried >= 2


def test_at_the_edge_of_a_padded_map_the_border_counts_as_zeros(open_page, tmp_path):
    export_web(build_model("three-conv"), tmp_path, list("0123456789"), torch.float32)
    page = open_page()
    page.evaluate(READ)
    found = page.evaluate("engine.explain(network, engine.forward(network, new Array(784).fill(1)), 2, [3, 0, 0])")
    (part,) = found["channels"]
    assert part["patch"][:4] == [0, 0, 0, 0]
    assert found["place"] == {"top": -1, "left": -1, "size": 3}
    assert found["bias"] + part["sum"] == pytest.approx(found["result"], abs=1e-5)


def test_a_map_that_is_switched_off_is_zero_and_the_others_are_as_they_were(open_page, tmp_path):
    shipped(torch.float32, tmp_path)
    page = open_page()
    page.evaluate(READ)
    image = to_float(load_part("mnist", "test", 1).images).flatten().tolist()
    script = "([i, off]) => engine.forward(network, i, off).map(map => [...map.values])"
    whole, without = (page.evaluate(script, [image, off]) for off in ({}, {2: [3]}))
    area = 26 * 26
    assert whole[1] == without[1]
    assert without[2] == [*whole[2][: 3 * area], *[0] * area, *whole[2][4 * area :]]
    assert without[-1] != whole[-1]


def test_a_file_that_is_cut_off_or_of_another_kind_is_refused_in_a_sentence(open_page, tmp_path):
    shipped(torch.float16, tmp_path)
    whole = (tmp_path / "network.bin").read_bytes()
    refused = f"({READ})().then(() => 'read', error => error.message)"
    page = open_page()
    (tmp_path / "network.bin").write_bytes(whole[:-2])
    assert "must have 243860. Was it cut off?" in page.evaluate(refused)
    (tmp_path / "network.bin").write_bytes(b"\xff\x7f" + whole[2:])
    assert page.evaluate(refused) == "A weight in the file is not a number."
    (tmp_path / "network.json").write_text(json.dumps({"format": "another"}))
    assert "This is not the header of a network (format another" in page.evaluate(refused)
