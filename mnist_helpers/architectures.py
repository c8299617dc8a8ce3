"""The networks: what each is made of. The registry that finds them by name is in `models`.

A network takes float images in [0, 1] and gives logits. It standardises its input itself, so its weights can never be
used with a scaling other than the one they were trained with.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

# Mean and standard deviation of MNIST's training images in [0, 1]; notebook 01 computes them.
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081


class Standardise(nn.Module):
    """Shift and scale images so that MNIST has mean 0 and standard deviation 1.

    The two numbers are buffers, not parameters: they are saved with the weights and never trained.
    """

    def __init__(self, mean: float = MNIST_MEAN, std: float = MNIST_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        """Standardise float images of any shape.

        Raises: TypeError for whole numbers, which would come out 255 times too large.
        """
        if not images.is_floating_point():
            raise TypeError(
                f"The network wants float images in [0, 1] but got {images.dtype}. Pass them through to_float first."
            )
        return (images - self.mean) / self.std


def linear(dropout: float) -> nn.Sequential:
    """One dense layer on the raw pixels: the smallest network there is."""
    return _network(**_head(dropout, 784))


def dense(dropout: float) -> nn.Sequential:
    """Two dense layers with as many parameters, roughly, as `two_conv`, and no convolution."""
    return _network(
        flatten=nn.Flatten(),
        dense1=nn.Linear(784, 154),
        relu1=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        dense2=nn.Linear(154, 10),
    )


def lenet5(dropout: float) -> nn.Sequential:
    """LeNet-5 with modern parts: ReLU and max-pooling in place of tanh and trained averages.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998).
    """
    return _network(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        dense1=nn.Linear(400, 120),
        relu3=nn.ReLU(),
        dense2=nn.Linear(120, 84),
        relu4=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        dense3=nn.Linear(84, 10),
    )


def two_conv(dropout: float) -> nn.Sequential:
    """The network of the walkthrough: two convolutions with pooling, two dense layers, 121,930 parameters."""
    return _network(
        conv1=nn.Conv2d(1, 32, 3),  # (B, 32, 26, 26)
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),  # (B, 32, 13, 13)
        conv2=nn.Conv2d(32, 64, 3),  # (B, 64, 11, 11)
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),  # (B, 64, 5, 5)
        flatten=nn.Flatten(),  # (B, 1600)
        dropout=nn.Dropout(dropout),
        dense1=nn.Linear(1600, 64),
        relu3=nn.ReLU(),
        dense2=nn.Linear(64, 10),
    )


def stacked_conv(
    widths: Sequence[int],
    kernels: Sequence[int],
    hidden: int,
    dropout: float,
    padded: bool = True,
    scaling: Standardise | None = None,
) -> nn.Sequential:
    """Convolutions of any number, width and kernel size, 2×2 max-pooling after each, and two dense layers.

    With padding a convolution keeps the size; without, each loses its border. Dropout acts between the dense layers.
    """
    layers: dict[str, nn.Module] = {}
    channels, side = 1, 28
    for number, (width, kernel) in enumerate(zip(widths, kernels, strict=True), start=1):
        padding = kernel // 2 if padded else 0
        layers[f"conv{number}"] = nn.Conv2d(channels, width, kernel, padding=padding)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"pool{number}"] = nn.MaxPool2d(2)
        channels, side = width, (side + 2 * padding - kernel + 1) // 2
    layers["flatten"] = nn.Flatten()
    layers["dense1"] = nn.Linear(channels * side**2, hidden)
    layers[f"relu{len(widths) + 1}"] = nn.ReLU()
    layers["dropout"] = nn.Dropout(dropout)
    layers["dense2"] = nn.Linear(hidden, 10)
    return _network(scaling, **layers)


def three_conv(dropout: float) -> nn.Sequential:
    """Three padded convolutions of 16, 32 and 64 filters: the network of `flux-three-conv`."""
    return stacked_conv((16, 32, 64), (3, 3, 3), hidden=128, dropout=dropout)


def keras_dropout(dropout: float) -> nn.Sequential:
    """The convolutions of `two_conv`, a wider dense layer with dropout after it, and input left in [0, 1]."""
    unscaled = Standardise(mean=0.0, std=1.0)
    return stacked_conv((32, 64), (3, 3), hidden=128, dropout=dropout, padded=False, scaling=unscaled)


def keras_tuned(dropout: float) -> nn.Sequential:
    """The network that our search found (notebook 06): two padded convolutions of 16 and 32 filters of 5×5."""
    return stacked_conv((16, 32), (5, 5), hidden=128, dropout=dropout)


def ten_twenty(dropout: float) -> nn.Sequential:
    """Convolutions of 10 and 20 filters of 5×5; dropout silences whole maps of the second."""
    return _network(
        conv1=nn.Conv2d(1, 10, 5),  # (B, 10, 24, 24)
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),  # (B, 10, 12, 12)
        conv2=nn.Conv2d(10, 20, 5),  # (B, 20, 8, 8)
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),  # (B, 20, 4, 4)
        dropout=nn.Dropout2d(dropout),
        flatten=nn.Flatten(),  # (B, 320)
        dense1=nn.Linear(320, 50),
        relu3=nn.ReLU(),
        dense2=nn.Linear(50, 10),
    )


def vgg(dropout: float) -> nn.Sequential:
    """Pairs of 3×3 convolutions with batch normalisation, pooling after each pair; made for 28×28.

    Source: the form is Simonyan and Zisserman's (2015), the normalisation Ioffe and Szegedy's (2015).
    """
    stages = _stages((16, 32, 64), kernels=[(3, 3)] * 3)  # (B, 64, 3, 3)
    return _network(**stages, **_head(dropout, 64 * 3 * 3))


def accurate(dropout: float) -> nn.Sequential:
    """The form of `vgg`, twice as wide and yet quicker: the large maps are cut, as in `fast`, and soon pooled."""
    stages = _stages((32, 64, 128), kernels=[(5,), (3, 3), (3, 3)], pool_early=True)  # (B, 128, 3, 3)
    return _network(margin=nn.ZeroPad2d(-2), **stages, **_head(dropout, 128 * 3 * 3))


def _stages(widths: Sequence[int], kernels: Sequence[Sequence[int]], pool_early: bool = False) -> dict[str, nn.Module]:
    """Return stages of normalised convolutions, a width and the kernels of one stage each, and 2×2 pooling in each."""
    layers: dict[str, nn.Module] = {}
    channels, number = 1, 0
    for stage, (width, sizes) in enumerate(zip(widths, kernels, strict=True), start=1):
        for place, size in enumerate(sizes, start=1):
            number += 1
            layers[f"conv{number}"] = nn.Conv2d(channels, width, size, padding=size // 2, bias=False)
            normal = {f"norm{number}": nn.BatchNorm2d(width), f"relu{number}": nn.ReLU()}
            pool = {f"pool{stage}": nn.MaxPool2d(2)} if place == len(sizes) else {}
            layers |= pool | normal if pool_early else normal | pool
            channels = width
    return layers


def fast(dropout: float) -> nn.Sequential:
    """Few multiplications: the margin is cut off, the first convolution takes every other place, and after two
    convolutions a dense layer does the rest.

    MNIST's digits were fitted into 20×20 pixels, so a margin of 2 holds hardly any ink; clothes reach into it.
    """
    return _network(
        margin=nn.ZeroPad2d(-2),  # (B, 1, 24, 24)
        conv1=nn.Conv2d(1, 16, 5, stride=2),  # (B, 16, 10, 10)
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(16, 16, 3),  # (B, 16, 8, 8)
        pool2=nn.MaxPool2d(2),  # (B, 16, 4, 4)
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),  # (B, 256)
        dense1=nn.Linear(256, 256),
        norm1=nn.BatchNorm1d(256),
        relu3=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        dense2=nn.Linear(256, 10),
    )


def quick(dropout: float) -> nn.Sequential:
    """Between `fast` and `accurate`: three convolutions without padding on the cut image, then a hidden dense layer."""
    return _network(
        margin=nn.ZeroPad2d(-2),  # (B, 1, 24, 24)
        conv1=nn.Conv2d(1, 32, 5),  # (B, 32, 20, 20)
        pool1=nn.MaxPool2d(2),  # (B, 32, 10, 10)
        norm1=nn.BatchNorm2d(32),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(32, 64, 3),  # (B, 64, 8, 8)
        norm2=nn.BatchNorm2d(64),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(64, 64, 3),  # (B, 64, 6, 6)
        pool3=nn.MaxPool2d(2),  # (B, 64, 3, 3)
        norm3=nn.BatchNorm2d(64),
        relu3=nn.ReLU(),
        flatten=nn.Flatten(),  # (B, 576)
        dense1=nn.Linear(576, 256),
        norm4=nn.BatchNorm1d(256),
        relu4=nn.ReLU(),
        dropout=nn.Dropout(dropout),
        dense2=nn.Linear(256, 10),
    )


class Residual(nn.Module):
    """Two 3×3 convolutions whose result is added to their input.

    Source: He and others, "Deep residual learning for image recognition" (2016).
    Shapes: (B, channels, H, W) → (B, width, H / stride, W / stride).
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        same = channels == width and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Add what the convolutions make of the maps to the maps themselves."""
        inside = self.norm2(self.conv2(self.norm1(self.conv1(maps)).relu()))
        return (inside + self.shortcut(maps)).relu()


def resnet(dropout: float) -> nn.Sequential:
    """A first convolution with pooling, three residual blocks, and the mean of each map; made for 28×28."""
    return _network(
        conv1=nn.Conv2d(1, 32, 3, padding=1, bias=False),  # (B, 32, 28, 28)
        norm1=nn.BatchNorm2d(32),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),  # (B, 32, 14, 14)
        block1=Residual(32, 32, stride=1),
        block2=Residual(32, 64, stride=2),  # (B, 64, 7, 7)
        block3=Residual(64, 128, stride=2),  # (B, 128, 4, 4)
        mean=nn.AdaptiveAvgPool2d(1),
        **_head(dropout, 128),
    )


class EightWays(nn.Module):
    """Make eight kernels of one, turned by quarters and mirrored; further ones are the same eight again.

    To share weights among turned kernels is the idea of Cohen and Welling, "Group equivariant convolutional networks"
    (2016). Shapes: (1, 1, K, K) → (maps, 1, K, K).
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, kernel: Tensor) -> Tensor:
        """Return the kernels."""
        turned = [kernel.rot90(quarters, dims=(2, 3)) for quarters in range(4)]
        ways = torch.cat([*turned, *(one.flip(3) for one in turned)])
        return ways[torch.arange(self.maps) % len(ways)]

    def right_inverse(self, kernels: Tensor) -> Tensor:
        """Return the kernel that the others were made of."""
        return kernels[:1]


class Separable(nn.Module):
    """A convolution in two parts: each map by itself, with one 3×3 kernel in its eight ways, then a mix at each place.

    With a `dilation` of 2 the kernel's values lie two pixels apart.
    Source: Sifre, "Rigid-motion scattering for image classification" (2014), for the two parts; Yu and Koltun,
    "Multi-scale context aggregation by dilated convolutions" (2016).
    Shapes: (B, channels, H, W) → (B, width, H - 2 * dilation, W - 2 * dilation).
    """

    def __init__(self, channels: int, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.apart = _in_eight_ways(nn.Conv2d(channels, channels, 3, dilation=dilation, groups=channels, bias=False))
        self.mix = nn.Conv2d(channels, width, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve each map by itself, and mix what comes out."""
        return self.mix(self.apart(maps))


def _in_eight_ways(conv: nn.Conv2d) -> nn.Conv2d:
    """Make a convolution train one kernel, and use it turned and mirrored (see `EightWays`)."""
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    return register_parametrization(conv, "weight", EightWays(conv.out_channels))


def _normal(width: int) -> nn.BatchNorm2d:
    """Return batch normalisation that trains no scale: a rectifier passes a scale on, and the next weights do as well.

    What it measures needs no numbers of its own either, once trained: it can be folded into the parameters around it.
    """
    norm = nn.BatchNorm2d(width)
    del norm.weight
    norm.register_buffer("weight", torch.ones(width))
    return norm


def separable_stack(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """A first convolution and separable ones, made of as few parameters as possible, and the mean of each map.

    Pooling with a stride of 2 keeps one of four places, and which one depends on where the digit lies. Here all are
    kept (a stride of 1), and the kernels after it are spread out to match, so the network reads what it would read in
    four images, each moved by a pixel, and takes the mean. That costs time and no parameter.
    """
    layers: dict[str, nn.Module] = {
        "margin": nn.ZeroPad2d(-1),
        "conv1": _in_eight_ways(nn.Conv2d(1, widths[0], 3, bias=False)),
        "pool": nn.MaxPool2d(2, stride=1),
        "norm1": _normal(widths[0]),
        "relu1": nn.ReLU(),
    }
    for number, (channels, width) in enumerate(pairwise(widths), start=2):
        layers[f"conv{number}"] = Separable(channels, width, dilation=2)
        layers[f"norm{number}"] = _normal(width)
        layers[f"relu{number}"] = nn.ReLU()
    return _network(**layers, mean=nn.AdaptiveAvgPool2d(1), **_head(dropout, widths[-1]))


def small(dropout: float) -> nn.Sequential:
    """The network of `smallest-99`: 990 parameters."""
    return separable_stack((8, 15, 15, 15, 12), dropout)


def _head(dropout: float, inputs: int) -> dict[str, nn.Module]:
    return {"flatten": nn.Flatten(), "dropout": nn.Dropout(dropout), "dense": nn.Linear(inputs, 10)}


def _network(scaling: Standardise | None = None, **layers: nn.Module) -> nn.Sequential:
    named = OrderedDict(standardise=scaling or Standardise(), **layers)
    return nn.Sequential(named).to(memory_format=torch.channels_last)
