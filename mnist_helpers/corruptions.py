"""Fifteen ways to spoil a digit that a person still reads, as MNIST-C lists them: whole batches at once, on tensors.

The list is that of Mu and Gilmer, "MNIST-C: a robustness benchmark for computer vision" (2019); what each does here is
our own, so figures are not to be compared with theirs. Every random number comes from the generator that the caller
gives. Shapes, of all: images (N, 1, H, W) float in [0, 1] → the same.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mnist_helpers.data import to_float


def shot_noise(images: Tensor, generator: Generator) -> Tensor:
    """Count the light in few quanta, as a camera does in the dark: the brighter a pixel, the more it varies."""
    return (torch.poisson(images * 5, generator) / 5).clamp(max=1)


def impulse_noise(images: Tensor, generator: Generator) -> Tensor:
    """Turn a tenth of the pixels black or white."""
    drawn = torch.rand(images.shape, generator=generator)
    return torch.where(drawn < 0.1, (drawn < 0.05).float(), images)


def glass_blur(images: Tensor, generator: Generator) -> Tensor:
    """Look through frosted glass: each pixel shows one of its neighbours, twice over, and all are blurred a little."""
    for _ in range(2):
        moves = torch.randint(-1, 2, (*images.shape[:1], *images.shape[2:], 2), generator=generator)
        images = _sampled(images, moves.float())
    return F.avg_pool2d(images, 3, stride=1, padding=1)


def motion_blur(images: Tensor, generator: Generator) -> Tensor:
    """Move the camera by six pixels while the shutter is open, in a direction of its own for each image."""
    angles = _evenly(images, generator, 0, torch.pi)
    way = torch.stack([angles.cos(), angles.sin()], dim=1)[:, None, None]  # (N, 1, 1, 2)
    places = [way.expand(-1, *images.shape[2:], 2) * step for step in range(-3, 4)]
    return torch.stack([_sampled(images, place) for place in places]).mean(dim=0)


def shear(images: Tensor, generator: Generator) -> Tensor:
    """Slant the digit to the left or to the right, by three quarters of its height."""
    slant = 0.75 * _either_sign(images, generator)
    return _mapped(images, torch.ones_like(slant), slant, torch.zeros_like(slant), torch.ones_like(slant))


def scale(images: Tensor, generator: Generator) -> Tensor:
    """Make the digit half as large to two thirds as large."""
    factor = 1 / _evenly(images, generator, 0.5, 0.67)
    return _mapped(images, factor, torch.zeros_like(factor), torch.zeros_like(factor), factor)


def rotate(images: Tensor, generator: Generator) -> Tensor:
    """Turn the digit by 30° to 45°, either way."""
    angle = torch.deg2rad(_evenly(images, generator, 30, 45)) * _either_sign(images, generator)
    return _mapped(images, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def brightness(images: Tensor, generator: Generator) -> Tensor:
    """Lift all pixels by 0.4 to 0.7, and cut off at white."""
    return (images + _evenly(images, generator, 0.4, 0.7)[:, None, None, None]).clamp(max=1)


def translate(images: Tensor, generator: Generator) -> Tensor:
    """Move the digit by four or five pixels, both ways."""
    moves = torch.stack([_evenly(images, generator, 4, 5) * _either_sign(images, generator) for _ in range(2)], dim=1)
    return _sampled(images, moves[:, None, None].expand(-1, *images.shape[2:], 2))


def stripe(images: Tensor, generator: Generator) -> Tensor:
    """Show a vertical band of six columns, somewhere near the middle, as a negative."""
    start = torch.randint(6, 17, (len(images), 1, 1, 1), generator=generator)
    columns = torch.arange(images.shape[3])
    return torch.where((columns >= start) & (columns < start + 6), 1 - images, images)


def fog(images: Tensor, generator: Generator) -> Tensor:
    """Lay a cloud over the image: noise of several sizes, added up."""
    cloud = sum(_clouds(images, generator, cells) / 2**power for power, cells in enumerate((2, 4, 8), start=1)) / 0.875
    return (0.55 * images + 0.6 * cloud).clamp(0, 1)


def spatter(images: Tensor, generator: Generator) -> Tensor:
    """Splash white drops over the image, where smooth noise is highest."""
    drops = _clouds(images, generator, 9)
    highest = drops.flatten(1).quantile(0.88, dim=1)[:, None, None, None]
    return torch.where(drops > highest, torch.ones(()), images)


def dotted_line(images: Tensor, generator: Generator) -> Tensor:
    """Draw a dotted line from the left edge to the right."""
    return _with_line(images, torch.rand(2, len(images), generator=generator) * (images.shape[2] - 1), dotted=True)


def zigzag(images: Tensor, generator: Generator) -> Tensor:
    """Draw a line from the left edge to the right, up and down by turns, with five corners."""
    middle = _evenly(images, generator, 8, 19)
    height = _evenly(images, generator, 3, 6)
    turns = torch.tensor([1.0, -1.0]).repeat(4)[:7]
    return _with_line(images, middle + height * turns[:, None] * _either_sign(images, generator))


def edges(images: Tensor, _generator: Generator) -> Tensor:
    """Leave the outlines: white where the brightness changes fast (Sobel's two kernels), black elsewhere."""
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    changes = F.conv2d(images, torch.stack([sobel, sobel.T])[:, None], padding=1)
    return (changes.norm(dim=1, keepdim=True) > 1.5).float()


CORRUPTIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    corrupt.__name__.replace("_", " "): corrupt
    for corrupt in (
        shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, rotate, brightness, translate, stripe, fog,
        spatter, dotted_line, zigzag, edges,
    )
}  # fmt: skip


def corrupted(name: str, images: Tensor, seed: int = 0) -> Tensor:
    """Spoil images in one of the ways of `CORRUPTIONS`, on the CPU, the same way for the same seed.

    Shapes: images (N, 1, H, W) uint8 → float32 in [0, 1]. Raises: KeyError for an unknown name.
    """
    return CORRUPTIONS[name](to_float(images.cpu()), torch.Generator().manual_seed(seed))


def _evenly(images: Tensor, generator: Generator, low: float, high: float) -> Tensor:
    """Draw a number for each image; (N,)."""
    return low + (high - low) * torch.rand(len(images), generator=generator)


def _either_sign(images: Tensor, generator: Generator) -> Tensor:
    """Draw 1 or -1 for each image; (N,)."""
    return torch.randint(0, 2, (len(images),), generator=generator) * 2.0 - 1


def _sampled(images: Tensor, moves: Tensor) -> Tensor:
    """Take each pixel from so many pixels to the right and down; moves (N, H, W, 2) in pixels."""
    sides = torch.tensor([images.shape[3], images.shape[2]])
    still = torch.eye(2, 3).expand(len(images), 2, 3)
    grid = F.affine_grid(still, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid + 2 * moves / sides, align_corners=False)


def _mapped(images: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Take what is at (x, y), seen from the middle, from (ax + by, cx + dy); each of the four (N,)."""
    zero = torch.zeros_like(a)
    rows = torch.stack([torch.stack([a, b, zero], dim=1), torch.stack([c, d, zero], dim=1)], dim=1)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def _clouds(images: Tensor, generator: Generator, cells: int) -> Tensor:
    """Return smooth noise from 0 to 1 with so many cells to a side, for each image."""
    noise = torch.rand(len(images), 1, cells + 1, cells + 1, generator=generator)
    return F.interpolate(noise, size=images.shape[2:], mode="bilinear", align_corners=True)


def _with_line(images: Tensor, corners: Tensor, dotted: bool = False) -> Tensor:
    """Draw a white line through corners that lie evenly from left to right; corners (count, N), rows in pixels."""
    height, width = images.shape[2:]
    row = F.interpolate(corners.T[:, None], size=width, mode="linear", align_corners=True)  # (N, 1, width)
    distance = (torch.arange(height)[:, None] - row[:, :, None]).abs()
    line = (1.5 - distance).clamp(0, 1)
    if dotted:
        line = line * (torch.arange(width) % 4 < 2)
    return torch.maximum(images, line)
