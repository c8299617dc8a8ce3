import copy

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from mnist_helpers.architectures import EightWays, Residual, Separable, Standardise
from mnist_helpers.errors import CourseError
from mnist_helpers.models import (
    ARCHITECTURES,
    build_model,
    check_architecture,
    count_parameters,
    device_of,
    evaluating,
    mode_kept,
    summarise,
)

# Counted by hand: weights and biases, layer by layer.
PARAMETERS = {
    "linear": 784 * 10 + 10,
    "dense": (784 + 1) * 154 + (154 + 1) * 10,
    "lenet-5": 6 * 26 + 16 * (6 * 25 + 1) + (400 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10,
    "two-conv": 320 + 18_496 + 102_464 + 650,
    "three-conv": 160 + 4_640 + 18_496 + (576 + 1) * 128 + (128 + 1) * 10,
    "keras-dropout": 320 + 18_496 + (1600 + 1) * 128 + (128 + 1) * 10,
    "keras-tuned": 16 * 26 + 32 * (16 * 25 + 1) + (32 * 49 + 1) * 128 + 129 * 10,
    "ten-twenty": 10 * 26 + 20 * (10 * 25 + 1) + (320 + 1) * 50 + (50 + 1) * 10,
    # a kernel of 9 for each layer, a number for each pair of maps, and one for each map
    "small": 9 + 8 + (9 + 8 * 15 + 15) + 2 * (9 + 15 * 15 + 15) + (9 + 15 * 12 + 12) + (12 + 1) * 10,
    "fast": 16 * 26 + 16 * (16 * 9 + 1) + (256 + 1) * 256 + 2 * 256 + (256 + 1) * 10,
    "quick": 26 * 32 + 64 * (9 * 32 + 1) + 64 * (9 * 64 + 1) + (576 + 1) * 256 + 2 * (32 + 64 + 64 + 256) + 257 * 10,
    # convolutions without bias, then two numbers a map for each normalisation
    "vgg": 9 * (16 + 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 4 * (16 + 32 + 64) + (576 + 1) * 10,
    "accurate": 25 * 32
    + 9 * (32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    + 2 * (32 + 2 * 64 + 2 * 128)
    + (1152 + 1) * 10,
    "resnet": (9 * 32 + 64)
    + (2 * 9 * 32 * 32 + 4 * 32)
    + (9 * 32 * 64 + 9 * 64 * 64 + 4 * 64 + 32 * 64)
    + (9 * 64 * 128 + 9 * 128 * 128 + 4 * 128 + 64 * 128)
    + (128 + 1) * 10,
}


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_separable_convolution_is_one_plain_one_whose_kernels_have_a_form_in_common(dilation):
    layer, maps = Separable(3, 5, dilation), torch.randn(2, 3, 9, 9)
    whole = layer.mix.weight * layer.apart.weight[:, 0]  # (5, 3, 1, 1) and (3, 3, 3): each pair its share of a kernel
    torch.testing.assert_close(layer(maps), nn.functional.conv2d(maps, whole, dilation=dilation))
    assert count_parameters(layer) == 9 + 3 * 5


def test_every_place_of_a_small_network_is_what_it_reads_in_an_image_moved_by_a_pixel():
    model = build_model("small").eval()
    features = model[: list(dict(model.named_children())).index("mean")]
    # The same layers as usual: every other place kept in pooling, and kernels that are not spread out.
    usual = copy.deepcopy(features)
    usual.pool.stride = 2
    for layer in usual.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            layer.dilation = (1, 1)
    image = torch.rand(1, 1, 28, 28)
    for down, right in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        moved = image.roll((-down, -right), dims=(2, 3))
        here, there = features(image)[..., down::2, right::2], usual(moved)
        torch.testing.assert_close(here[..., :3, :3], there[..., :3, :3])  # beyond that, what was moved out comes in


@torch.no_grad()
def test_what_a_small_network_s_normalisation_has_measured_needs_no_numbers_beside_the_parameters():
    """Its scale goes through the rectifier into the next weights, its mean into the number that is added anyway."""
    model = build_model("small").eval()
    for norm in (layer for layer in model if isinstance(layer, nn.BatchNorm2d)):
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2), norm.bias.normal_()
    folded = copy.deepcopy(model)
    norms = [layer for layer in folded if isinstance(layer, nn.BatchNorm2d)]
    followers = [layer.mix for layer in folded if isinstance(layer, Separable)] + [folded.dense]
    for norm, follower in zip(norms, followers, strict=True):
        scale = (norm.running_var + norm.eps).rsqrt()
        norm.bias.copy_(norm.bias / scale - norm.running_mean)
        norm.running_mean.zero_(), norm.running_var.fill_(1 - norm.eps)
        follower.weight.mul_(scale.view(1, -1, *[1] * (follower.weight.dim() - 2)))
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(folded(images), model(images), atol=1e-4, rtol=1e-4)


def test_every_architecture_is_counted_by_hand_here():
    assert set(PARAMETERS) == set(ARCHITECTURES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_has_the_parameters_counted_by_hand_and_gives_ten_logits(name):
    model = build_model(name)
    assert count_parameters(model) == PARAMETERS[name]
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 10)
    assert model.eval()(torch.rand(1, 1, 28, 28)).shape == (1, 10)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_between_any_two_layers_with_weights_there_is_a_rectifier(name):
    linear = False
    for layer in build_model(name):
        if isinstance(layer, nn.Conv2d | nn.Linear | Residual | Separable):
            assert not linear, layer
            linear = not isinstance(layer, Residual)  # which ends with one
        elif isinstance(layer, nn.ReLU):
            linear = False


@pytest.mark.parametrize(("channels", "width", "stride"), [(8, 8, 1), (8, 16, 2), (8, 8, 2), (8, 16, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_a_residual_block_is_torchvisions(channels, width, stride, training):
    ours = Residual(channels, width, stride).train(training)
    plain = (channels, stride) == (width, 1)
    shortcut = None if plain else nn.Conv2d(channels, width, 1, stride, bias=False)
    theirs = BasicBlock(channels, width, stride, downsample=shortcut).train(training)
    names = {"norm": "bn", "shortcut": "downsample"}
    weights = ours.state_dict()
    for mine, other in names.items():
        weights = {name.replace(mine, other): tensor for name, tensor in weights.items()}
    theirs.load_state_dict(weights)
    maps = torch.randn(3, channels, 9, 9)
    torch.testing.assert_close(ours(maps), theirs(maps))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_dropout_acts_in_training_and_not_in_evaluation(name):
    images = torch.rand(4, 1, 28, 28)
    model = build_model(name, dropout=0.5)
    assert not torch.equal(model.train()(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_learns_a_batch_by_heart(name, train):
    images, labels = train.images[:16].float() / 255, train.labels[:16]
    model = build_model(name)
    # 990 parameters must go further to have learned it: there are few of them
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2 if name == "small" else 3e-3)
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_one_kernel_is_seen_eight_ways_and_the_ninth_is_the_first_again():
    kernel = torch.arange(9.0).view(1, 1, 3, 3)
    ways = EightWays(12)(kernel)
    assert ways.shape == (12, 1, 3, 3)
    assert len({tuple(one.flatten().tolist()) for one in ways}) == 8
    assert torch.equal(ways[8:], ways[:4])
    for turned in (kernel.rot90(1, (2, 3)), kernel.flip(2), kernel.flip(3), kernel.transpose(2, 3)):
        assert any(torch.equal(one, turned[0]) for one in ways)


def test_an_unknown_architecture_is_refused_with_the_known_ones():
    with pytest.raises(CourseError, match="'four-conv' is not known. Use one of: linear, dense, lenet-5, two-conv"):
        build_model("four-conv")


def test_standardise_gives_mean_zero_and_spread_one_on_mnist(train):
    values = Standardise()(train.images.float() / 255)
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_standardises_its_input_but_the_one_published_without(name):
    images = torch.rand(2, 1, 28, 28)
    expected = images if name == "keras-dropout" else (images - 0.1307) / 0.3081
    torch.testing.assert_close(build_model(name).standardise(images), expected)


def test_whole_numbers_are_refused_because_they_would_come_out_255_times_too_large(train):
    with pytest.raises(TypeError, match="float images in .0, 1. but got torch.uint8.*to_float"):
        build_model("two-conv")(train.images[:1])


SHAPES = {
    "lenet-5": {"conv1": (6, 28, 28), "pool1": (6, 14, 14), "conv2": (16, 10, 10), "pool2": (16, 5, 5)},
    "two-conv": {"conv1": (32, 26, 26), "pool1": (32, 13, 13), "conv2": (64, 11, 11), "pool2": (64, 5, 5)},
    "three-conv": {"conv1": (16, 28, 28), "pool1": (16, 14, 14), "pool2": (32, 7, 7), "pool3": (64, 3, 3)},
    "keras-dropout": {"conv1": (32, 26, 26), "pool1": (32, 13, 13), "conv2": (64, 11, 11), "pool2": (64, 5, 5)},
    "ten-twenty": {"conv1": (10, 24, 24), "pool1": (10, 12, 12), "conv2": (20, 8, 8), "pool2": (20, 4, 4)},
    "keras-tuned": {"conv1": (16, 28, 28), "pool1": (16, 14, 14), "conv2": (32, 14, 14), "pool2": (32, 7, 7)},
    "fast": {"margin": (1, 24, 24), "conv1": (16, 10, 10), "pool2": (16, 4, 4), "dense1": (256,)},
    "vgg": {"conv2": (16, 28, 28), "relu2": (16, 28, 28), "pool1": (16, 14, 14), "pool3": (64, 3, 3)},
    "accurate": {"margin": (1, 24, 24), "pool1": (32, 12, 12), "norm1": (32, 12, 12), "pool3": (128, 3, 3)},
    "resnet": {"conv1": (32, 28, 28), "pool1": (32, 14, 14), "block2": (64, 7, 7), "block3": (128, 4, 4)},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_summary_follows_the_shapes(name):
    summary = summarise(build_model(name))
    shapes = {row.name: row.output_shape for row in summary}
    assert shapes | SHAPES.get(name, {}) == shapes
    assert summary[0].output_shape == (1, 28, 28)
    assert summary[-1].output_shape == (10,)
    assert sum(row.parameters for row in summary) == PARAMETERS[name]


def test_a_network_is_summarised_where_it_lies():
    assert summarise(build_model("two-conv").to("meta")) == summarise(build_model("two-conv"))


def test_a_summary_leaves_the_network_and_the_random_numbers_as_they_were():
    model = build_model("resnet", dropout=0.5).train()
    before, state = {name: tensor.clone() for name, tensor in model.state_dict().items()}, torch.get_rng_state()
    first = summarise(model)
    assert summarise(model) == first
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("context", [mode_kept, evaluating])
def test_the_mode_of_every_part_is_put_back_also_after_an_error(context):
    model = build_model("resnet").train()
    model.norm1.eval()
    before = [module.training for module in model.modules()]
    with pytest.raises(ZeroDivisionError), context(model):  # noqa: PT012 - the mode is changed, and then it fails
        assert any(module.training for module in model.modules()) is (context is mode_kept)
        model.eval()
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == before


def test_a_network_lies_where_its_weights_or_its_buffers_lie():
    assert device_of(build_model("linear")) == device_of(nn.Flatten()) == torch.device("cpu")
    assert device_of(build_model("linear").to("meta")) == torch.device("meta")
    assert device_of(Standardise().to("meta")) == torch.device("meta")


def test_what_training_cannot_change_is_not_counted():
    model = build_model("two-conv")
    model.conv2.requires_grad_(False)
    assert count_parameters(model) == PARAMETERS["two-conv"] - 18_496
    assert {row.name: row.parameters for row in summarise(model)}["conv2"] == 0


def test_comparing_a_network_with_its_name_draws_no_random_numbers():
    torch.manual_seed(3)
    expected = torch.rand(4)
    model = build_model("two-conv")
    torch.manual_seed(3)
    check_architecture(model, "two-conv")
    assert torch.equal(torch.rand(4), expected)
    with pytest.raises(CourseError, match="for the network 'three-conv'.*build_model"):
        check_architecture(model, "three-conv")
