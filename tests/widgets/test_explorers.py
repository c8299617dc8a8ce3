"""The explorers without a browser: a control that is moved changes what is shown, and what fails shows in its place."""

import base64
import re

import ipywidgets
import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from sklearn.metrics import confusion_matrix as sklearn_confusion

from mnist_helpers.checkpoints import find_model, load_model
from mnist_helpers.course.runner import find_notebooks
from mnist_helpers.data import to_float
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import predict_logits
from mnist_helpers.inspection import silenced
from mnist_helpers.models import build_model
from mnist_helpers.pages import Shown, watch
from mnist_helpers.widgets import filters as filters_module
from mnist_helpers.widgets import mistakes as mistakes_module
from mnist_helpers.widgets.digits import ORDERS, DigitBrowser, ordered
from mnist_helpers.widgets.filters import FilterExplorer, first_weights, predictions_without
from mnist_helpers.widgets.kernel_editor import OWN, PRESETS, KernelEditor, convolved
from mnist_helpers.widgets.mistakes import ConfusionExplorer, ThresholdExplorer, behind, coverage
from mnist_helpers.widgets.slider import Slider


@pytest.fixture(scope="module")
def network():
    return load_model(find_model("mnist", "walkthrough"))[0]


@pytest.fixture(scope="module")
def logits(network, val):
    return predict_logits(network, val.images)


def picture(explorer) -> bytes:
    """Return the figure that is shown; it must have an alt text and a caption."""
    shown = explorer.shown.value
    source, alt, caption = re.fullmatch(
        r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"[^>]*><br><em>(.+)</em>', shown
    ).groups()
    assert len(alt) >= 20
    assert len(caption) >= 20
    return base64.b64decode(source)


def changes(explorer, control: ipywidgets.Widget, value) -> None:
    before = picture(explorer)
    control.value = value
    assert picture(explorer) != before, f"{control.description} changes nothing"
    assert not plt.get_fignums()


def test_the_browser_shows_other_digits_when_a_control_moves(val):
    browser = DigitBrowser(val)
    changes(browser, browser.label, 3)
    changes(browser, browser.order, ORDERS[1])
    assert browser.page.max == -(-int((val.labels == 3).sum()) // 30)
    changes(browser, browser.page, browser.page.max)


def test_a_class_in_each_order_is_the_same_images(val):
    images = {order: ordered(val, 8, order) for order in ORDERS}
    for indices in images.values():
        assert torch.equal(indices.sort().values, torch.nonzero(val.labels == 8).flatten())
    assert torch.equal(images[ORDERS[1]], images[ORDERS[2]].flip(0))
    mean = to_float(val.images[val.labels == 8]).mean(dim=0)
    distances = (to_float(val.images[images[ORDERS[1]]]) - mean).flatten(1).norm(dim=1)
    assert (distances.diff() >= -1e-5).all()


def test_an_empty_class_can_be_browsed(val):
    browser = DigitBrowser(val.select(val.labels != 0))
    assert browser.page.max == 1
    picture(browser)


def test_the_editor_follows_its_presets_and_its_numbers(val):
    editor = KernelEditor(val.images)
    changes(editor, editor.preset, "blur")
    assert editor.kernel() == PRESETS["blur"]
    changes(editor, editor.numbers[4], 2.5)
    assert editor.preset.value == OWN
    assert editor.kernel()[4] == 2.5
    for control, value in ((editor.image, 5), (editor.row, 3), (editor.column, 20)):
        changes(editor, control, value)
    editor.preset.value = "sharpen"
    assert editor.kernel() == PRESETS["sharpen"]
    assert editor.preset.value == "sharpen"


def test_the_editor_survives_a_kernel_of_zeros(val):
    editor = KernelEditor(val.images)
    for number in editor.numbers:
        number.value = 0
    picture(editor)


def test_the_editors_edges_are_the_lessons():
    (lesson,) = find_notebooks("02")
    (line,) = re.findall(r"^upright = (.+)$", "\n".join(c.source for c in nbformat.read(lesson, 4).cells), re.MULTILINE)
    upright = eval(line, {"torch": torch})
    presets = {name: torch.tensor(numbers).view(3, 3) for name, numbers in PRESETS.items()}
    assert torch.equal(presets["upright edges"], upright)
    assert torch.equal(presets["level edges"], upright.T)


def test_the_map_sums_nine_products_at_every_place(val):
    image, kernel = to_float(val.images[0, 0]), torch.tensor(PRESETS["all edges"], dtype=torch.float32).view(3, 3)
    places = [(row, column) for row in range(3) for column in range(3)]
    products = [kernel[row, column] * image[row : row + 26, column : column + 26] for row, column in places]
    torch.testing.assert_close(convolved(image, kernel), sum(products))
    unchanged = torch.tensor(PRESETS["nothing changes"], dtype=torch.float32).view(3, 3)
    assert torch.equal(convolved(image, unchanged), image[1:-1, 1:-1])


def buttons(explorer) -> list[ipywidgets.Button]:
    return [child for child in explorer.children[0].children if isinstance(child, ipywidgets.Button)]


def test_the_matrix_counts_as_scikit_learn_does_and_its_cells_open(val, logits):
    explorer = ConfusionExplorer(val, logits)
    expected = sklearn_confusion(val.labels, logits.argmax(dim=1), labels=range(10)).flatten().tolist()
    assert [int(button.description) if button.description != "·" else 0 for button in buttons(explorer)] == expected
    before = explorer.shown.value
    buttons(explorer)[33].click()
    assert explorer.shown.value != before
    picture(explorer)
    empty = expected.index(0)
    buttons(explorer)[empty].click()
    assert f"No {empty // 10} was read as {empty % 10}" in explorer.shown.value
    assert buttons(explorer)[12].tooltip.endswith("images of 1 read as 2")


def test_behind_a_cell_are_its_images_the_surest_first(val, logits):
    indices = behind(val.labels, logits, 4, 4)
    assert (val.labels[indices] == 4).all()
    assert (logits[indices].argmax(dim=1) == 4).all()
    assert (logits.softmax(dim=1)[indices, 4].diff() <= 0).all()


def test_the_threshold_moves_along_the_curve(val, logits):
    explorer = ThresholdExplorer(val.labels, logits)
    changes(explorer, explorer.threshold, 0.5)
    changes(explorer, explorer.threshold, 0.999)


def test_a_threshold_that_nothing_reaches_is_said_in_words(val):
    explorer = ThresholdExplorer(val.labels, torch.zeros(len(val), 10))
    assert "Nothing is answered" in explorer.shown.value


def test_coverage_by_hand():
    confidence, right = torch.tensor([0.2, 0.6, 0.9, 0.95]), torch.tensor([False, False, True, True])
    assert coverage(confidence, right, 0.0) == (1.0, 0.5)
    assert coverage(confidence, right, 0.5) == (0.75, pytest.approx(2 / 3))
    assert coverage(confidence, right, 0.9) == (0.25, 1.0)
    assert coverage(confidence, right, 0.99)[0] == 0.0


def test_the_filters_explorer_follows_its_controls(network, val):
    explorer = FilterExplorer(network, val)
    for control, value in (
        (explorer.filter, 7),
        (explorer.image, 11),
        (explorer.off, (0, 1, 2)),
        (explorer.filter, 31),
    ):
        changes(explorer, control, value)
    changes(explorer, explorer.layer, "relu2")
    assert explorer.filter.max == 63
    assert len(explorer.off.options) == 64
    changes(explorer, explorer.off, tuple(range(64)))
    explorer.filter.value, explorer.off.value = 50, (50,)
    changes(explorer, explorer.layer, "relu1")  # which has no filter 50
    assert (explorer.filter.value, explorer.off.value) == (31, ())


@pytest.mark.parametrize("architecture", ["vgg", "resnet", "fast", "accurate", "lenet-5"])
def test_every_network_with_maps_can_be_explored(architecture, val):
    explorer = FilterExplorer(build_model(architecture), val)
    for layer in explorer.layer.options:
        explorer.layer.value = layer
        picture(explorer)


def test_a_network_without_maps_is_refused(val):
    with pytest.raises(CourseError, match="no feature maps"):
        FilterExplorer(build_model("dense"), val)


def test_switching_filters_off_leaves_the_network_of_the_page_alone(network, val):
    before = predict_logits(network, val.images[:5])
    explorer = FilterExplorer(network, val)
    explorer.off.value = (0, 1, 2)
    assert explorer.model is not network
    assert torch.equal(predict_logits(network, val.images[:5]), before)


def test_predictions_without_filters_are_those_of_the_silenced_network(network, val):
    image = val.images[3]
    before, after = predictions_without(network, image, "relu1", (4, 9))
    with silenced(network, "relu1", 4), silenced(network, "relu1", 9):
        torch.testing.assert_close(after, predict_logits(network, image[None]).softmax(dim=1)[0])
    torch.testing.assert_close(before, predict_logits(network, image[None]).softmax(dim=1)[0])
    assert not torch.equal(before, after)


def test_only_the_first_layer_has_weights_that_look_at_the_image(network):
    assert torch.equal(first_weights(network, "relu1"), network.conv1.weight)
    assert first_weights(network, "relu2") is None


@pytest.mark.parametrize(
    ("error", "message"), [(CourseError("Do this."), "Do this."), (KeyError("x"), "This view failed: KeyError")]
)
def test_what_fails_in_a_callback_is_shown(error, message):
    shown, slider = Shown(), ipywidgets.IntSlider()

    def redraw() -> None:
        if slider.value:
            raise error
        shown.value = "fine"

    watch(shown, redraw, slider)
    assert shown.value == "fine"
    slider.value = 1
    assert message in shown.value


def test_a_failure_is_shown_wherever_it_happens_and_the_explorer_goes_on(network, val, logits, monkeypatch):
    filters, confusion = FilterExplorer(network, val), ConfusionExplorer(val, logits)
    with monkeypatch.context() as patch:
        for module, name in ((filters_module, "feature_maps"), (mistakes_module, "behind")):
            patch.setattr(module, name, lambda *_: 1 / 0)
        filters.layer.value = "relu2"
        buttons(confusion)[0].click()
        assert all("This view failed: ZeroDivisionError" in explorer.shown.value for explorer in (filters, confusion))
    filters.layer.value = "relu1"
    buttons(confusion)[0].click()
    assert not any("failed" in explorer.shown.value for explorer in (filters, confusion))


def test_a_few_images_are_enough_to_look_into_filters(network, val):
    picture(FilterExplorer(network, val.select(torch.arange(3))))


def test_patches_are_sought_once_a_filter(network, val, monkeypatch):
    sought = []
    explorer = FilterExplorer(network, val)
    search = filters_module.top_patches
    monkeypatch.setattr(filters_module, "top_patches", lambda *rest: sought.append(rest[3]) or search(*rest))
    for image in (1, 2, 3):
        explorer.image.value = image
    assert sought == []
    explorer.filter.value = 1
    assert sought == [1]


def test_words_in_a_view_are_escaped():
    shown = Shown()
    shown.say("<script>alert(1)</script>")
    assert "<script>" not in shown.value


def test_a_slider_stays_within_its_limits_whichever_changes_first():
    slider = Slider("Page", min=1, max=9, value=20)
    assert slider.value == 9
    slider.max = 4
    assert slider.value == 4
    slider.value = -3
    assert slider.value == 1
    slider.min = 2
    assert (slider.value, type(slider.value)) == (2, int)
    assert Slider("Image").value == 0
    assert Slider("Surer than", max=0.999, step=0.001, value=0.9).value == 0.9
