import copy

import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors
from torch import nn

from mnist_helpers import inspection
from mnist_helpers.architectures import Residual
from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import load_part, to_float
from mnist_helpers.errors import CourseError
from mnist_helpers.evaluation import evaluate, predict_logits
from mnist_helpers.models import ARCHITECTURES, build_model
from mnist_helpers.runtime import ROOT
from mnist_helpers.training import fit


@pytest.fixture(scope="module")
def trained() -> nn.Sequential:
    """The network that is shipped."""
    return load_model(ROOT / "pretrained" / "mnist" / "walkthrough")[0]


def number_of_hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_recorded_maps_are_what_the_layers_compute_and_the_hooks_are_gone(trained, val):
    image = to_float(val.images[0])
    maps = inspection.feature_maps(trained, image, "conv1", "relu2")
    with torch.no_grad():
        values = trained.standardise(image[None])
        torch.testing.assert_close(maps["conv1"], trained.conv1(values)[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(maps["relu2"], trained[:6](image[None])[0], atol=1e-5, rtol=1e-4)
    assert number_of_hooks(trained) == 0


def test_hooks_are_removed_even_if_the_block_fails(trained):
    with pytest.raises(ZeroDivisionError), inspection.recorded(trained, "conv1"):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), inspection.silenced(trained, "relu1", 0):
        raise ZeroDivisionError
    assert number_of_hooks(trained) == 0


def test_a_silenced_filter_acts_like_one_with_no_weights(trained, val):
    with inspection.silenced(trained, "relu1", 5):
        silenced = predict_logits(trained, val.images)
    copy = build_model("two-conv").eval()
    copy.load_state_dict(trained.state_dict())
    with torch.no_grad():
        copy.conv1.weight[5] = 0
        copy.conv1.bias[5] = 0
    torch.testing.assert_close(silenced, predict_logits(copy, val.images), atol=1e-4, rtol=1e-4)
    assert not torch.equal(silenced, predict_logits(trained, val.images))


def test_the_first_filters_are_the_weights_of_the_first_convolution(trained):
    filters = inspection.first_filters(trained)
    assert torch.equal(filters, trained.conv1.weight)
    assert not filters.requires_grad
    with pytest.raises(CourseError, match="no convolution, and so no filters"):
        inspection.first_filters(build_model("dense"))


def test_filters_silenced_together_are_silent_together(trained, val):
    with inspection.silenced(trained, "relu1", 5, 9), inspection.recorded(trained, "relu1") as outputs:
        predict_logits(trained, val.images)
    silent = (outputs["relu1"] == 0).all(dim=3).all(dim=2).all(dim=0).nonzero().flatten().tolist()
    assert {5, 9} <= {*silent}
    with inspection.silenced(trained, "relu1"), inspection.recorded(trained, "relu1") as outputs:
        predict_logits(trained, val.images)
    assert outputs["relu1"][:, 5].any()


def test_what_is_silenced_is_a_copy_also_where_a_layer_gives_back_what_it_was_given(val):
    model, images = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(784, 10)), to_float(val.images[:2])
    before = images.clone()
    with inspection.silenced(model, "0", 0):
        torch.testing.assert_close(predict_logits(model, images), model[2].bias.detach().expand(2, 10))
    assert torch.equal(images, before)


@pytest.mark.parametrize("layer", ["relu1", "pool1", "conv2", "relu2", "dense1"])
def test_ablation_agrees_with_silencing_one_by_one(trained, val, layer):
    worth = inspection.ablate(trained, val, layer)
    whole = evaluate(trained, val)
    for index in (0, 3, len(worth.loss) - 1):
        with inspection.silenced(trained, layer, index):
            without = evaluate(trained, val)
        assert worth.accuracy[index].item() == pytest.approx(whole.accuracy - without.accuracy, abs=1e-6)
        assert worth.loss[index].item() == pytest.approx(without.loss - whole.loss, abs=1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Conv2d(2, 2, 3), nn.AvgPool2d(2)],
        [nn.Conv2d(1, 2, 5, padding=2), nn.AvgPool2d(2), nn.Conv2d(2, 2, 5)],
        [nn.Conv2d(1, 2, 5, stride=2), nn.Conv2d(2, 2, 3, padding=1), nn.AvgPool2d(3, 1)],
        [nn.AvgPool2d(2), Residual(1, 32, stride=2).eval()],
        [nn.ZeroPad2d(-2), nn.Conv2d(1, 2, 5, stride=2), nn.Conv2d(2, 2, 3)],
        [nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(4)],
        [nn.Conv2d(1, 2, 5), nn.AdaptiveAvgPool2d(3)],
    ],
)
def test_the_receptive_field_is_where_the_gradient_is_not_zero(layers):
    model = nn.Sequential(*layers)
    pixels = torch.rand(1, 1, 28, 28, requires_grad=True)
    model(pixels)[0, :, 2, 1].sum().backward()
    seen = torch.nonzero(pixels.grad[0, 0])
    # The helper knows the max-pooling of our networks; average pooling has the same window and lets all pixels count.
    twins = [nn.MaxPool2d(m.kernel_size, m.stride) if isinstance(m, nn.AvgPool2d) else m for m in layers]
    window = inspection.receptive_field(nn.Sequential(*twins), str(len(layers) - 1))
    first = torch.tensor([window.start + window.stride * 2, window.start + window.stride * 1])
    assert (seen.max(dim=0).values + 1).tolist() == (first + window.size).tolist()
    assert seen.min(dim=0).values.tolist() == first.clamp(min=0).tolist()


def test_an_unknown_layer_is_named_with_those_there_are(trained):
    with pytest.raises(KeyError, match="no layer 'conv9'.*conv1"):
        inspection.receptive_field(trained, "conv9")


def test_the_best_patches_excite_the_filter_as_much_as_the_whole_images_did(trained, val):
    patches = inspection.top_patches(trained, val.images, "relu1", 8, count=5)
    assert patches.shape == (5, 1, 3, 3)
    assert patches.dtype == torch.uint8
    with torch.no_grad():
        answers = trained[:3](to_float(patches))[:, 8, 0, 0]
        peaks = trained[:3](to_float(val.images))[:, 8].amax(dim=(1, 2))
    torch.testing.assert_close(answers, peaks.topk(5).values, atol=1e-4, rtol=1e-4)


def test_a_patch_that_reaches_over_the_edge_holds_the_zeros_that_the_network_saw_there(val):
    model = nn.Sequential(nn.Conv2d(1, 1, 5, stride=2, padding=2), nn.Flatten(), nn.Linear(196, 10)).eval()
    with torch.no_grad():
        model[0].weight[:] = 0.1
        model[0].weight[..., :2] = -1.0  # on bright paper it answers most where its left side lies beyond the edge
        images = 255 - val.images
        patches = inspection.top_patches(model, images, "0", 0, count=5)
        answers = F.conv2d(to_float(patches), model[0].weight, model[0].bias).flatten()
        peaks = model[0](to_float(images)).amax(dim=(1, 2, 3))
    torch.testing.assert_close(answers, peaks.topk(5).values, atol=1e-4, rtol=1e-4)
    assert not patches[..., :2].any()


def test_saliency_agrees_with_finite_differences():
    model = build_model("linear").eval()
    image = torch.rand(1, 28, 28)
    gradient = inspection.saliency(model, image, 4)
    assert not image.requires_grad
    assert torch.equal(inspection.saliency(model, image.clone().requires_grad_(), 4), gradient)
    with torch.inference_mode():
        made_there = image.clone()  # autograd refuses such a tensor itself
    assert torch.equal(inspection.saliency(model, made_there, 4), gradient)
    for row, column in [(0, 0), (14, 14), (27, 5)]:
        nudged = image.clone()
        nudged[0, row, column] += 0.01
        change = (predict_logits(model, nudged[None]) - predict_logits(model, image[None]))[0, 4]
        assert gradient[row, column].item() == pytest.approx(abs(change.item()) / 0.01, rel=1e-2, abs=1e-4)


def test_occlusion_finds_the_one_place_that_matters():
    """A network that adds up 3×3 pixels in the middle loses most where the cover hides them."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight.view(10, 28, 28)[3, 13:16, 13:16] = 1
    heat = inspection.occlusion(model, torch.ones(1, 28, 28), label=3, size=3)
    assert divmod(heat.argmax().item(), 28) == (14, 14)
    assert heat[5, 5].item() == pytest.approx(0, abs=1e-6)
    around = heat[11:18, 11:18]  # the cover has its middle on each pixel
    for same in (around.flip(0), around.flip(1), around.T):
        torch.testing.assert_close(around, same)
    assert (around > 1e-6).sum() == 25


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 27), (27, 0), (27, 27), (1, 14), (14, 26)])
def test_at_the_edge_the_part_of_the_cover_that_lies_on_the_image_hides_it(trained, row, column):
    image = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(1))
    covered = image.clone()
    for down in range(-2, 3):
        for across in range(-2, 3):
            if 0 <= row + down < 28 and 0 <= column + across < 28:
                covered[0, row + down, column + across] = 0
    both = predict_logits(trained, torch.stack([image, covered])).softmax(dim=1)[:, 3]
    heat = inspection.occlusion(trained, image, 3)
    torch.testing.assert_close(heat[row, column], both[0] - both[1], atol=1e-6, rtol=1e-3)


def test_a_cover_over_nothing_costs_nothing_and_every_other_is_tried(trained, val):
    image, asked = to_float(val.images[3]), []
    handle = trained.register_forward_hook(lambda _model, _inputs, logits: asked.append(len(logits)))
    heat = inspection.occlusion(trained, image, 3)
    handle.remove()
    hides = F.max_pool2d(image, 5, stride=1, padding=2)[0] > 0
    assert 0.1 < hides.float().mean() < 0.9
    assert not heat[~hides].any()
    assert heat[hides].all()
    assert sum(asked) == 1 + hides.sum()


def test_a_grown_input_excites_its_filter_more_than_any_digit_does(trained, val):
    grown = inspection.grow_input(trained, "relu2", 9)
    assert grown.shape == (28, 28)
    assert grown.min() >= 0
    assert grown.max() <= 1
    with torch.no_grad():
        answer = trained[:5](grown[None, None])[0, 9].mean()
        usual = trained[:5](to_float(val.images))[:, 9].mean(dim=(1, 2))
    assert answer > usual.max()
    assert all(parameter.grad is None for parameter in trained.parameters())


def test_where_nothing_can_be_excited_an_input_grows_darker_and_smoother():
    model = build_model("two-conv")
    nn.init.zeros_(model.conv1.weight)
    before, after = (inspection.grow_input(model, "conv1", 0, steps=steps) for steps in (0, 30))
    assert after.mean() < before.mean()
    for dim in (0, 1):  # the pixels are a sigmoid's: where all of them sink alike, it is its input that keeps its steps
        assert after.logit().diff(dim=dim).abs().mean() < 0.9 * before.logit().diff(dim=dim).abs().mean()


def test_the_seed_alone_decides_where_an_input_grows_from(trained):
    state = torch.get_rng_state()
    first, again, other = (inspection.grow_input(trained, "conv1", 0, steps=1, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_depends_on_how_many_images_are_looked_at_at_once(trained, val, monkeypatch):
    few = val.select(torch.arange(100))

    def looked_at() -> list[torch.Tensor]:
        worth = inspection.ablate(trained, few, "relu1")
        patches = inspection.top_patches(trained, few.images, "relu2", 3)
        return [worth.accuracy, worth.loss, patches, inspection.embed(trained, few.images, "relu3")]

    at_once = looked_at()
    monkeypatch.setattr(inspection, "BATCH_SIZE", 30)
    for expected, found in zip(at_once, looked_at(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("layer", "last"), [("relu2", "conv2"), ("conv2", "conv2"), ("pool2", "pool2")])
def test_the_way_up_to_a_layer_ends_before_its_relu(trained, val, layer, last):
    image = to_float(val.images[0])
    with torch.no_grad():
        maps = inspection.up_to(trained, layer)(image[None])[0]
    torch.testing.assert_close(maps, inspection.feature_maps(trained, image, last)[last], atol=1e-5, rtol=1e-4)


def test_an_embedding_followed_by_the_last_layer_gives_the_logits(trained, val):
    rows = inspection.embed(trained, val.images, "relu3")
    with torch.no_grad():
        logits = F.linear(rows, trained.dense2.weight, trained.dense2.bias)
    torch.testing.assert_close(logits, predict_logits(trained, val.images), atol=1e-4, rtol=1e-4)


def test_inspection_leaves_a_network_in_training_as_it_was(train, val, recipe):
    model = build_model("two-conv")
    fit(model, train, val, recipe, device="cpu")
    model.train()
    inspection.feature_maps(model, val.images[0], "relu1")
    inspection.ablate(model, val.select(torch.arange(20)), "relu1")
    assert model.training


def test_ablation_does_not_switch_dropout_on_again(val):
    model = build_model("two-conv", dropout=0.5).eval()
    inspection.ablate(model, val, "relu1")
    assert not any(module.training for module in model.modules())


def test_an_unknown_layer_leaves_no_hook_behind(trained):
    with pytest.raises(AttributeError), inspection.recorded(trained, "conv1", "conv9"):
        pass
    assert number_of_hooks(trained) == 0


def everything_counts(model: nn.Sequential) -> nn.Sequential:
    """Let every value that a layer sees change what it gives: means in place of maxima, and no rectifier."""
    model = copy.deepcopy(model).double()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride))
            elif isinstance(child, nn.AdaptiveMaxPool2d):
                setattr(module, name, nn.AdaptiveAvgPool2d(child.output_size))
            elif isinstance(child, nn.ReLU):
                setattr(module, name, nn.Identity())
            elif isinstance(child, Residual):
                child.forward = lambda maps, b=child: b.norm2(b.conv2(b.norm1(b.conv1(maps)))) + b.shortcut(maps)
    return model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_receptive_field_of_every_layer_is_where_the_gradient_is_not_zero(architecture):
    model = build_model(architecture).eval()
    twin, cut = everything_counts(model), 0
    for name in dict(model.named_children()):
        pixels = torch.rand(1, 1, 28, 28, dtype=torch.double, requires_grad=True)
        with inspection.recorded(twin, name) as outputs:
            twin(pixels)
        values = outputs[name]
        maps = values.dim() == 4
        row = values.shape[2] // 2 if maps else 0
        (values[0, :, row, 0] if maps else values[0]).sum().backward()
        seen = torch.nonzero(pixels.grad[0, 0])
        window = inspection.receptive_field(model, name)
        first = torch.tensor([window.start + window.stride * row, window.start])
        cut = (
            -model.margin.padding[0] if name == "margin" else cut
        )  # pixels on each side, from there on seen by nothing
        assert seen.min(dim=0).values.tolist() == first.clamp(min=cut).tolist(), name
        assert (seen.max(dim=0).values + 1).tolist() == (first + window.size).clamp(max=28 - cut).tolist(), name


def test_for_a_dense_layer_the_patch_is_all_that_the_network_sees(trained, val):
    patches = inspection.top_patches(trained, val.images, "dense2", 3, count=4)
    logits = predict_logits(trained, val.images)[:, 3]
    window = inspection.receptive_field(trained, "dense2")
    places = slice(window.start, window.start + window.size)
    assert torch.equal(patches, val.images[logits.topk(4).indices][:, :, places, places])


@pytest.mark.parametrize(
    "look",
    [
        lambda model, image: inspection.saliency(model, image, 3),
        lambda model, _image: inspection.grow_input(model, "conv1", 0, steps=1),
        lambda model, image: inspection.occlusion(model, image, 3),
        lambda model, image: inspection.feature_maps(model, image, "conv1"),
    ],
)
def test_looking_leaves_the_mode_of_every_part_as_it_was(look, val):
    model = build_model("resnet").train()
    model.norm1.eval()
    before = [module.training for module in model.modules()]
    look(model, to_float(val.images[0]))
    assert [module.training for module in model.modules()] == before


@pytest.mark.parametrize(
    ("architecture", "layers"),
    [
        ("two-conv", ["relu1", "relu2"]),
        ("resnet", ["relu1", "block1", "block2", "block3"]),
        ("linear", []),
    ],
)
def test_the_layers_with_maps_are_found(architecture, layers):
    model = build_model(architecture)
    assert inspection.layers_with_maps(model) == layers
    assert list(inspection.lit_maps(model, torch.zeros(1, 28, 28, dtype=torch.uint8))) == layers


def test_maps_are_laid_out_row_by_row():
    maps = torch.arange(1.0, 9.0)[:, None, None].expand(-1, 2, 3)  # eight maps, each of one value
    laid = inspection.mosaic(maps)
    assert laid.shape == (2 * 3 - 1, 4 * 4 - 1)
    assert laid[0, 0] == round(255 / 8)
    assert laid[3, 12] == 255
    assert laid[0, 3] == laid[2, 0] == 0  # the lines between
    assert not inspection.mosaic(torch.zeros(3, 2, 2)).any()


def test_a_known_digit_is_its_own_nearest_neighbour(trained):
    known = load_part("mnist", "train", 200)
    found = inspection.Neighbours(trained, known).of(known.images[17], 3)
    assert len(found) == 3
    assert torch.equal(found.images[0], known.images[17])
    assert found.labels[0] == known.labels[17]


def test_neighbours_are_those_that_scikit_learn_finds(trained, val):
    known = load_part("mnist", "train", 200)
    features = [inspection.embed(trained, images, "relu3") for images in (known.images, val.images[:5])]
    theirs = NearestNeighbors(n_neighbors=4).fit(features[0]).kneighbors(features[1], return_distance=False)
    neighbours = inspection.Neighbours(trained, known)
    for image, expected in zip(val.images, theirs, strict=False):
        assert torch.equal(neighbours.of(image, 4).images, known.images[torch.from_numpy(expected)])


@pytest.mark.parametrize(("name", "layer"), [("two-conv", "relu1"), ("two-conv", "relu2"), ("two-conv", "pool1")])
def test_a_map_is_laid_on_the_image_each_value_over_the_middle_of_what_it_sees(val, name, layer):
    model = build_model(name)
    window, side = inspection.receptive_field(model, layer), inspection.feature_maps(model, val.images[0], layer)[layer]
    for row, column in ((2, 3), (4, 4), (side.shape[1] - 3, 2)):
        spot = torch.zeros(side.shape[1:])
        spot[row, column] = 1
        laid = inspection.on_the_image(spot, window)
        assert laid.shape == (28, 28)
        middle = [window.start + window.stride * place + (window.size - 1) / 2 for place in (row, column)]
        found = [(torch.arange(28) * laid.sum(dim=dim)).sum() / laid.sum() for dim in (1, 0)]
        assert [value.item() for value in found] == pytest.approx(middle, abs=1e-4)


def test_a_map_that_is_not_square_is_laid_where_it_belongs():
    laid = inspection.on_the_image(torch.ones(2, 5), inspection.ReceptiveField(size=4, stride=4, start=4))
    assert laid[4:12, 4:24].eq(1).all()
    assert laid.sum() == 8 * 20


def test_peaks_are_the_largest_values_of_each_map(trained, val):
    peaks = inspection.peaks(trained, val.images[:7], "relu2")
    assert peaks.shape == (7, 64)
    for image, found in zip(val.images[:7], peaks, strict=True):
        torch.testing.assert_close(found, inspection.feature_maps(trained, image, "relu2")["relu2"].amax(dim=(1, 2)))
