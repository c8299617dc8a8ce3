"""Changed copies of training images, made anew at every step: whole batches at once, on tensors.

Every random number comes from the generator that the caller gives, and is drawn where that lies: a CPU generator gives
every device the same numbers, a GPU's own spares the copies.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def random_affine(
    images: Tensor,
    generator: Generator,
    degrees: float = 10,
    shift: float = 2,
    scale: float = 0.1,
    squeeze: float = 0.0,
    slant: float = 0.0,
    bend: float = 0.0,
) -> Tensor:
    """Turn, move and resize each image of a batch at random, all images at once.

    Each image is turned by up to ±`degrees`, moved by up to ±`shift` pixels both ways, resized by up to ±`scale` (0.1
    is 10%), made narrower or wider by up to ±`squeeze`, and sheared sideways by up to ±`slant` (0.1 moves the top by a
    twentieth of the height), all drawn evenly. `bend` moves the points of a coarse 5×5 grid by about that many pixels
    each, and all between them smoothly along (after Simard, Steinkraus and Platt, 2003).

    Shapes: images (B, 1, H, W) float → the same.
    """
    (count, _, height, width), drawn = images.shape, _drawn_by(generator)
    draws = torch.rand(count, 4, **drawn) * 2 - 1
    angle = torch.deg2rad(draws[:, 0] * degrees)
    factor = 1 / (1 + draws[:, 1] * scale)
    # grid_sample asks where each output pixel comes from, in units of half the image.
    right, down = draws[:, 2] * shift / (width / 2), draws[:, 3] * shift / (height / 2)
    cosine, sine = torch.cos(angle) * factor, torch.sin(angle) * factor
    sideways, wide = torch.zeros_like(angle), torch.ones_like(angle)
    if slant or squeeze:
        form = torch.rand(2, count, **drawn) * 2 - 1
        sideways, wide = slant * form[0], 1 / (1 + squeeze * form[1])
    rows = [
        torch.stack([wide * cosine, sideways * cosine - sine, right], dim=1),
        torch.stack([wide * sine, sideways * sine + cosine, down], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1).to(images.device), list(images.shape), align_corners=False)
    if bend:
        grid = grid + _smooth_moves(images.shape, bend, generator).to(images.device)
    return F.grid_sample(images, grid, align_corners=False)


def _smooth_moves(shape: torch.Size, bend: float, generator: Generator) -> Tensor:
    """Return moves of a coarse 5×5 grid by about `bend` pixels, and of all points between; (B, H, W, 2) half images."""
    count, _, height, width = shape
    across, along = (torch.randn(count, 2, 5, 5, **_drawn_by(generator)) * bend).unbind(1)
    coarse = torch.stack([across / (width / 2), along / (height / 2)], dim=1)
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def random_shift(images: Tensor, generator: Generator, most: int = 2) -> Tensor:
    """Move each image of a batch by up to `most` whole pixels in each direction; the pixels that come in are 0.

    Nothing is interpolated, so this takes a fraction of the time that `random_affine` takes.

    Shapes: images (B, C, H, W) → the same.
    """
    count, channels, height, width = images.shape
    device = images.device
    moves = torch.randint(2 * most + 1, (2, count, 1), **_drawn_by(generator)).to(device)
    rows = (torch.arange(height, device=device) + moves[0])[:, None, :, None]
    columns = (torch.arange(width, device=device) + moves[1])[:, None, None, :]
    image = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[:, None, None]
    return F.pad(images, [most] * 4)[image, channel, rows, columns]


def random_strokes(images: Tensor, generator: Generator) -> Tensor:
    """Make the strokes of each image thinner or thicker, sharper or more blurred, paler or darker.

    Shapes: images (B, 1, H, W) float in [0, 1] → the same.
    """
    draws = torch.rand(len(images), 3, **_drawn_by(generator)).to(images.device)[:, :, None, None, None].unbind(1)
    thicker = F.max_pool2d(images, 3, stride=1, padding=1)
    thinner = -F.max_pool2d(-images, 3, stride=1, padding=1)
    change = draws[0] * 2 - 1
    images = images + change.clamp(min=0) * (thicker - images) + (-0.6 * change).clamp(min=0) * (thinner - images)
    # Twice a 3×3 mean is nearly a bell; a quarter of the images stay sharp.
    blurred = F.avg_pool2d(F.avg_pool2d(images, 3, stride=1, padding=1), 3, stride=1, padding=1)
    images = images + (draws[1] * 1.3 - 0.3).clamp(min=0) * (blurred - images)
    brightest = images.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    return (images / brightest) ** (0.6 + 0.8 * draws[2])


def random_coarseness(images: Tensor, generator: Generator, share: float = 0.3) -> Tensor:
    """Show a `share` of the images as if they had been enlarged from few pixels, smoothly or in squares.

    Shapes: images (B, 1, H, W) float in [0, 1] → the same.
    """
    drawn = _drawn_by(generator)
    side = int(torch.randint(10, 20, (1,), **drawn))
    smooth, chosen = torch.rand(1, **drawn) < 0.5, torch.rand(len(images), **drawn) < share
    small = _shrunk(images, side)
    coarse = F.interpolate(small, size=images.shape[2:], mode="bilinear" if smooth else "nearest")
    return torch.where(chosen.to(images.device)[:, None, None, None], coarse, images)


def _shrunk(images: Tensor, side: int) -> Tensor:
    """Return the images with side × side pixels, each the mean of what it covers."""
    try:
        return F.interpolate(images, size=(side, side), mode="area")
    except RuntimeError as error:
        if "divisible" not in str(error):  # which is what Apple's MPS asks of the sizes
            raise
        return F.interpolate(images.cpu(), size=(side, side), mode="area").to(images.device)


def random_handwriting(images: Tensor, generator: Generator) -> Tensor:
    """Vary images as other people's handwriting, other pens and other cameras would.

    Shapes: images (B, 1, H, W) float in [0, 1] → the same.
    """
    warped = random_affine(images, generator, degrees=15, shift=1.5, scale=0.15, squeeze=0.2, slant=0.3, bend=0.8)
    return random_strokes(random_coarseness(warped, generator), generator)


def _drawn_by(generator: Generator) -> dict:
    return {"generator": generator, "device": generator.device}


random_slant = partial(random_affine, degrees=12, scale=0.12, squeeze=0.1, slant=0.2)
random_elastic = partial(random_slant, bend=0.35)

AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "shift": random_shift,
    "affine": random_affine,
    "slanted": random_slant,
    "elastic": random_elastic,
    "handwriting": random_handwriting,
}
