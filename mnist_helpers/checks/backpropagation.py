"""Checks of exercise notebook 8: backward passes by hand, slopes, what is kept for them."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from mnist_helpers.checks.exercise import Gap, Mistake, exercise

NOT_BY_LIBRARY = ("backward", "^grad$", "conv", "pool", "batch_norm", "_norm")


def tanh_and_gradient(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw what a tanh gave, and a gradient for it."""
    shape = tuple(random.integers(2, 6, size=2))
    return np.tanh(random.normal(size=shape)), random.normal(size=shape)


def far_out() -> tuple[np.ndarray, np.ndarray]:
    """Give results of a tanh from saturation to saturation."""
    return np.tanh(np.array([[-9.0, -2.0, 0.0, 0.5, 3.0]])), np.array([[1.0, -2.0, 3.0, 4.0, 50.0]])


@exercise(
    draw=tanh_and_gradient,
    by_hand=NOT_BY_LIBRARY,
    edges=[far_out, lambda: (np.zeros((1, 3)), np.array([[2.0, 0.0, -1.0]]))],
    notice="The result is all that it has to keep, as with the sigmoid. Near y = 1 and −1 hardly anything comes back.",
    hint="Multiply what arrives by the derivative at this place. The task gives it, written with the result.",
    mistakes=[
        Mistake(lambda y, g: 1 - y**2, "This is the derivative alone. What arrives, `g`, is multiplied by it."),
        Mistake(lambda y, g: g * (1 - y), "The square is missing in the derivative."),
        Mistake(lambda y, g: g * y * (1 - y), "This is the sigmoid's derivative. That of tanh is another one."),
        Mistake(
            lambda y, g: g * (1 - np.tanh(y) ** 2),
            "`y` is what tanh gave, not what it was given: do not apply tanh once more.",
        ),
        Mistake(lambda y, g: g * (1 - np.tanh(y)), "`y` is what tanh gave already; and the square is missing."),
        Mistake(lambda y, g: g * np.tanh(y), "This is a forward pass. The derivative of tanh is asked for."),
        Mistake(lambda y, g: g * y, "It multiplies by the result. Multiply by the derivative."),
        Mistake(lambda y, g: g * y**2, "It multiplies by y². The derivative is what is left of 1."),
        Mistake(lambda y, g: g + (1 - y**2), "The chain rule multiplies: what arrives, times the derivative."),
        Mistake(lambda y, g: g / (1 - y**2 + 1e-300), "It divides by the derivative. The chain rule multiplies."),
        Mistake(lambda y, g: y * (1 - g**2), "`y` and `g` have changed places."),
        Mistake(lambda y, g: -g * (1 - y**2), "The sign is the wrong way round."),
        Mistake(lambda y, g: g, "What arrives is passed on as it is. The derivative is missing."),
    ],
)
def tanh_backward(y: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Return the gradient for the input of a tanh that gave `y`."""
    return g * (1 - y**2)


class Loss:
    """A loss of an array, for which a slope depends on the nudge; written as one would say it."""

    def __init__(self, cubic: float, wave: float, product: float) -> None:
        self.cubic, self.wave, self.product = cubic, wave, product

    def __call__(self, x: np.ndarray) -> float:
        """Return the loss: a cubic, a wave, and a square of the sum, which couples all numbers."""
        x = np.asarray(x, dtype=float)
        coupled = self.product * np.sum(x) ** 2
        return float(np.sum(self.cubic * x**3) + np.sum(np.sin(self.wave * x + x)) + coupled)

    def __repr__(self) -> str:
        return "loss"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loss) and vars(self) == vars(other)

    __hash__ = None


def loss_and_place(random: np.random.Generator) -> tuple[Loss, np.ndarray, float]:
    """Draw a loss, an array of one or two dimensions, and a nudge that is large enough to show in the digits."""
    loss = Loss(*random.uniform(0.5, 2, size=3))
    shape = tuple(random.integers(2, 5, size=int(random.integers(1, 3))))
    return loss, random.normal(size=shape), float(random.uniform(0.2, 0.6))


def at(x: object, nudge: float = 0.25) -> Callable[[], tuple[Loss, np.ndarray, float]]:
    """Return what gives a loss and a certain array."""
    return lambda: (Loss(1.0, 1.5, 0.75), np.array(x, dtype=float), nudge)


def slopes(
    loss: Callable,
    x: np.ndarray,
    nudge: float,
    up: float = 1,
    down: float = 1,
    divisor: float = 2,
    one: bool = True,
    back: bool = True,
) -> np.ndarray:
    """Return the slope for each number of an array; the arguments put the mistakes in."""
    found, moved = np.zeros(x.shape), x.copy()
    for place in np.ndindex(x.shape):
        chosen = place if one else ...
        above, below = moved.copy(), moved.copy()
        above[chosen] += up * nudge
        below[chosen] -= down * nudge
        found[place] = (loss(above) - loss(below)) / divisor
        if not back:
            moved = below
    return found / nudge


@exercise(
    draw=loss_and_place,
    by_hand=NOT_BY_LIBRARY,
    edges=[at([0.5]), at([[1.0, -1.0, 0.0]]), at([[[0.5, -2.0], [1.0, 0.0]]]), at([1.0, 1.0, 1.0], 1e-3)],
    gaps=[
        Gap(lambda loss, x, nudge: x.ndim == 1, "It goes wrong where `x` has rows and columns. Look at `np.ndindex`.")
    ],
    rounds=12,
    notice="Each number takes two calls of the loss. For 74,650 weights that would be 149,300 forward passes.",
    hint="For each place of `x`: a copy with this number `nudge` larger, one with it `nudge` smaller, the difference "
    "of the two losses, divided by how far apart the two copies are.",
    mistakes=[
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge, down=0, divisor=1),
            "This compares with the loss at `x` itself. A central difference goes as far down as it goes up.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge, up=0, divisor=1),
            "This goes down only. A central difference goes as far up as it goes down.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge, divisor=1),
            "All are twice too large: the two copies are two nudges apart.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge, down=0),
            "It goes up only, and divides by two nudges. Go down by one as well.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge) * nudge * 2,
            "These are differences of losses. A slope is the difference divided by the distance.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge) * nudge,
            "The nudge is missing in the divisor.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge) * nudge**2,
            "It multiplies by the nudge: `/ 2 * nudge` needs brackets around the divisor.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge, one=False),
            "All numbers are moved at once. Move one at a time, and leave the others where they are.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge, back=False),
            "The numbers before are still moved when the next one has its turn. Begin with a fresh copy each time.",
        ),
        Mistake(
            lambda loss, x, nudge: -slopes(loss, x, nudge), "All signs are the wrong way round: above minus below."
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, nudge, up=0.5, down=0.5, divisor=1),
            "It moves by half a nudge each way. Move by a whole one, up and down.",
        ),
        Mistake(
            lambda loss, x, nudge: slopes(loss, x, 1e-5),
            "It nudges by an amount of its own. Use the nudge that is given.",
        ),
    ],
)
def gradient_of(loss: Callable[[np.ndarray], float], x: np.ndarray, nudge: float) -> np.ndarray:
    """Return the slope of the loss for each number of `x`, by central differences."""
    return slopes(loss, x, nudge)


def pooled_gradient(random: np.random.Generator) -> tuple[np.ndarray]:
    """Draw a gradient for maps that were pooled; no two sizes are equal."""
    return (random.normal(size=tuple(random.permutation([2, 3, 4, 5]))),)


def spread(g: np.ndarray, share: float = 0.25) -> np.ndarray:
    """Give each of four places a share of what arrives."""
    return share * g.repeat(2, axis=2).repeat(2, axis=3)


def to_one_corner(g: np.ndarray, share: float = 1) -> np.ndarray:
    """Give everything to the first of four places."""
    found = np.zeros((*g.shape[:2], 2 * g.shape[2], 2 * g.shape[3]))
    found[:, :, ::2, ::2] = share * g
    return found


@exercise(
    draw=pooled_gradient,
    by_hand=NOT_BY_LIBRARY,
    edges=[
        lambda: (np.arange(1.0, 7.0).reshape(1, 1, 2, 3),),
        lambda: (np.ones((1, 1, 1, 1)),),
        lambda: (np.arange(12.0).reshape(3, 2, 2, 1),),
    ],
    notice="Average pooling keeps nothing at all for its backward pass, not even which number was the largest.",
    hint="By how much does the mean of four numbers change when one of them grows by 1? Each of the four gets that "
    "share of what arrives.",
    mistakes=[
        Mistake(lambda g: spread(g, 1), "All four get all that arrives. Each has only a part in the mean."),
        Mistake(lambda g: spread(g, 0.5), "Each gets a half. How many numbers share what arrives?"),
        Mistake(lambda g: to_one_corner(g), "One place of each square gets everything: that would be max-pooling."),
        Mistake(lambda g: to_one_corner(g, 0.25), "Three places of each square get nothing. All four had a part."),
        Mistake(
            lambda g: 0.25 * np.tile(g, (1, 1, 2, 2)),
            "The whole map is laid out four times. Each number belongs to a square of its own: look at `np.repeat`.",
        ),
        Mistake(
            lambda g: np.tile(g, (1, 1, 2, 2)),
            "The whole map is laid out four times, and not shared out. Each number belongs to a square of its own.",
        ),
        Mistake(lambda g: g / 4, "The shape is still that of the small maps. Each number goes to four places."),
        Mistake(lambda g: spread(g, 4), "It multiplies by four. What arrives is shared out."),
        Mistake(lambda g: 0.25 * g.repeat(2, axis=2), "Only the rows are doubled. Columns, too."),
        Mistake(lambda g: 0.25 * g.repeat(2, axis=3), "Only the columns are doubled. Rows, too."),
        Mistake(
            lambda g: 0.25 * g.repeat(4, axis=3),
            "Four in a row. The square has two rows and two columns.",
        ),
        Mistake(
            lambda g: 0.25 * g.repeat(2, axis=0).repeat(2, axis=1),
            "Images and maps are doubled. Rows and columns are the last two axes.",
        ),
    ],
)
def average_pool_backward(g: np.ndarray) -> np.ndarray:
    """Return the gradient for the maps that were averaged in squares of 2 × 2."""
    return spread(g)


def strided(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Draw an image and a gradient for the map that a strided kernel made of it, neither square."""
    side, stride = (int(number) for number in random.integers(2, 4, size=2))
    rows, columns = (int(number) for number in random.permutation([3, 4]))
    return with_map(rows, columns, side, stride, random)


def with_map(
    rows: int, columns: int, side: int, stride: int, random: np.random.Generator | None = None, rest: int = 1
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return an image on which a kernel has so many places, with some pixels left over, and a gradient for them."""
    random = random or np.random.default_rng(0)
    height, width = (stride * (places - 1) + side + min(rest, stride - 1) for places in (rows, columns))
    return random.normal(size=(height, width)), random.normal(size=(rows, columns)), side, stride


def kernel_gradient(
    x: np.ndarray,
    g: np.ndarray,
    side: int,
    stride: int,
    rows: int | None = None,
    columns: int | None = None,
    weight: Callable[[np.ndarray, int, int], float] = lambda g, row, column: g[row, column],
) -> np.ndarray:
    """Add up the windows, each times what came back to its place; the arguments put the mistakes in."""
    found = np.zeros((side, side))
    for row in range(g.shape[0] if rows is None else rows):
        for column in range(g.shape[1] if columns is None else columns):
            top, left = stride * row, stride * column
            found += weight(g, row, column) * x[top : top + side, left : left + side]
    return found


def last_window(x: np.ndarray, g: np.ndarray, side: int, stride: int) -> np.ndarray:
    """Overwrite in place of adding up."""
    rows, columns = g.shape
    top, left = stride * (rows - 1), stride * (columns - 1)
    return g[-1, -1] * x[top : top + side, left : left + side]


@exercise(
    draw=strided,
    by_hand=NOT_BY_LIBRARY,
    edges=[
        lambda: with_map(2, 3, 2, 1),
        lambda: with_map(1, 1, 3, 2),
        lambda: with_map(2, 2, 1, 3),
        lambda: with_map(3, 2, 2, 4),
        lambda: with_map(4, 3, 3, 2, rest=0),
    ],
    gaps=[
        Gap(lambda x, g, side, stride: side == 2, "It is right for kernels of 2 × 2. How far does each window reach?"),
        Gap(lambda x, g, side, stride: stride == 1, "It is right for a stride of 1. Where does each window begin?"),
    ],
    rounds=12,
    notice="A stride only changes where the windows begin. What comes back goes to the kernel times the window.",
    hint="The kernel met one window for each number of `g`. Where does the window of row 1, column 2 begin? Multiply "
    "each window by its number of `g`, and add them all up.",
    mistakes=[
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, 1),
            "The windows move on by one pixel. With a stride of 2 they begin two pixels apart.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, stride) / g.size,
            "This is the mean over the windows. The kernel was used in each of them: add up.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, stride)[::-1, ::-1],
            "It is turned by 180°. The kernel's turn belongs to the gradient of the pixels, not to this one.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, stride).T,
            "Rows and columns of the result are exchanged.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, stride, weight=lambda *_place: 1.0),
            "The windows are added up as they are. Multiply each by what came back to its place.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, stride, rows=g.shape[0] - 1),
            "The last row of `g` is left out. `range` ends before its number by itself.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, stride, columns=g.shape[1] - 1),
            "The last column of `g` is left out. `range` ends before its number by itself.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g, side, stride, rows=g.shape[0] - 1, columns=g.shape[1] - 1),
            "The last row and column of `g` are left out. `range` ends before its number by itself.",
        ),
        Mistake(
            last_window,
            "It is overwritten at each place, and the last window is left. Add up, with `+=`.",
        ),
        Mistake(
            lambda x, g, side, stride: kernel_gradient(x, g[::-1, ::-1], side, stride),
            "`g` is turned by 180°. Here it is laid on the image as it is.",
        ),
        Mistake(
            lambda x, g, side, stride: -kernel_gradient(x, g, side, stride),
            "The sign is the wrong way round. The gradient is asked for, and not the step.",
        ),
    ],
)
def strided_kernel_gradient(x: np.ndarray, g: np.ndarray, side: int, stride: int) -> np.ndarray:
    """Return the gradient for the kernel of a convolution with a stride."""
    return kernel_gradient(x, g, side, stride)


def gradient_and_kernel(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw what comes back to a map that is no square, and the kernel that made it."""
    rows, columns = (int(number) for number in random.permutation([3, 5]))
    side = int(random.integers(2, 4))
    return random.normal(size=(rows, columns)), random.normal(size=(side, side))


def image_gradient(g: np.ndarray, w: np.ndarray, add: bool = True, rows: int = 0, columns: int = 0) -> np.ndarray:
    """Give each window its number of `g` times the kernel; the arguments put the mistakes in."""
    side = len(w)
    found = np.zeros((g.shape[0] + side - 1, g.shape[1] + side - 1))
    for row in range(g.shape[0] - rows):
        for column in range(g.shape[1] - columns):
            window = found[row : row + side, column : column + side]
            window[:] = g[row, column] * w + (window if add else 0)
    return found


def only_inside(g: np.ndarray, w: np.ndarray, turned: bool) -> np.ndarray:
    """Lay the kernel on `g` without zeros around it."""
    w = w[::-1, ::-1] if turned else w
    windows = np.lib.stride_tricks.sliding_window_view(g, w.shape)
    return np.einsum("rcij,ij->rc", windows, w)


@exercise(
    draw=gradient_and_kernel,
    by_hand=NOT_BY_LIBRARY,
    edges=[
        lambda: (np.array([[2.0]]), np.arange(9.0).reshape(3, 3)),
        lambda: (np.arange(1.0, 7.0).reshape(2, 3), np.array([[3.0]])),
        lambda: (np.arange(8.0).reshape(4, 2), np.array([[1.0, 2.0], [3.0, 4.0]])),
        lambda: (np.eye(4, 6), np.arange(16.0).reshape(4, 4)),
    ],
    rounds=12,
    notice="A pixel in the middle was in as many windows as the kernel has numbers, one in the corner in a single one.",
    hint="In which windows was the pixel in row 1, column 1? In each it met another number of the kernel. Add up that "
    "number times what came back to the window's position.",
    mistakes=[
        Mistake(
            lambda g, w: image_gradient(g, w[::-1, ::-1]),
            "The kernel is turned once too often, or not at all. Forward, which of its numbers met the window's first "
            "pixel?",
        ),
        Mistake(
            lambda g, w: image_gradient(g, w, add=False),
            "Where windows overlap, the last one overwrites the others. Add up.",
        ),
        Mistake(
            lambda g, w: only_inside(g, w, turned=True),
            "The result is smaller than `g`, not larger. Zeros have to surround `g` first.",
        ),
        Mistake(
            lambda g, w: only_inside(g, w, turned=False),
            "The result is smaller than `g`. Surround it with zeros, and turn the kernel.",
        ),
        Mistake(lambda g, w: image_gradient(g, w.T), "Rows and columns of the kernel are exchanged."),
        Mistake(lambda g, w: image_gradient(g, w[:, ::-1]), "The kernel is turned from left to right only."),
        Mistake(lambda g, w: image_gradient(g, w[::-1]), "The kernel is turned from top to bottom only."),
        Mistake(
            lambda g, w: image_gradient(g, w) / w.size,
            "This is the mean over the kernel's places. Where ways meet, gradients are added up.",
        ),
        Mistake(
            lambda g, w: image_gradient(g, np.ones_like(w)),
            "Each window gets what came back as it is. It is multiplied by the kernel.",
        ),
        Mistake(
            lambda g, w: image_gradient(g, w, rows=1),
            "The last row of `g` is left out. `range` ends before its number by itself.",
        ),
        Mistake(
            lambda g, w: image_gradient(g, w, columns=1),
            "The last column of `g` is left out. `range` ends before its number by itself.",
        ),
        Mistake(
            lambda g, w: image_gradient(g, w, rows=1, columns=1),
            "The last row and column of `g` are left out. `range` ends before its number by itself.",
        ),
        Mistake(
            lambda g, w: -image_gradient(g, w),
            "The sign is the wrong way round. The gradient is asked for, and not the step.",
        ),
    ],
)
def pixel_gradient(g: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the gradient for the image on which a kernel was laid."""
    return image_gradient(g, w)


def batch_and_gradient(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch of rows, with scales of their own in the columns, and a gradient for what is normalised."""
    rows, columns = (int(number) for number in random.integers([4, 2], [9, 5]))
    x = random.normal(size=(rows, columns)) * random.uniform(0.5, 4, columns) + random.normal(size=columns)
    return x, random.normal(size=x.shape)


def normalised(x: np.ndarray, less: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch with its columns standardised, and their deviations."""
    deviation = x.std(axis=0, ddof=less)
    return (x - x.mean(axis=0)) / deviation, deviation


def normalised_gradient(
    x: np.ndarray, g: np.ndarray, mean: float = 1, own: float = 1, axis: int | None = 0, less: int = 0
) -> np.ndarray:
    """Return the gradient for a batch that is normalised; the arguments put the mistakes in."""
    y, deviation = normalised(x, less)
    through_mean = mean * g.mean(axis=axis, keepdims=True)
    return (g - through_mean - own * y * (g * y).mean(axis=axis, keepdims=True)) / deviation


@exercise(
    draw=batch_and_gradient,
    by_hand=NOT_BY_LIBRARY,
    edges=[
        lambda: (np.array([[1.0, 5.0], [3.0, -5.0], [2.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])),
        lambda: (np.array([[0.0], [1.0], [4.0], [9.0]]), np.ones((4, 1))),  # what is alike for all changes nothing
        lambda: (np.arange(12.0).reshape(3, 4) ** 1.5, np.eye(3, 4)),
    ],
    rounds=12,
    notice="A gradient that is the same for the whole batch is stopped: it would move the mean, which is taken off.",
    hint="Three ways lead from a number to the loss: straight, through the mean of its column, and through the "
    "deviation. Check your function with `gradient_of`, on a small batch.",
    mistakes=[
        Mistake(
            lambda x, g: normalised_gradient(x, g, mean=0, own=0),
            "This takes mean and deviation for constants. Both depend on every number of the batch.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, own=0),
            "The way through the mean is there. The deviation depends on the numbers, too.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, mean=0),
            "The way through the deviation is there. The mean depends on the numbers, too.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g) * normalised(x)[1],
            "The division by the deviation is missing at the end.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, less=1),
            "The deviation is another one: batch normalisation divides by the number of images, `np.std` as it is.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, axis=1),
            "The means run along the rows. Those over the images are asked for: axis 0.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, axis=None),
            "The means run over all numbers. Each column has its own: axis 0.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, own=len(x)),
            "The last term is a sum over the batch. A mean is asked for.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, mean=len(x)),
            "The term of the mean is a sum over the batch. A mean is asked for.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, mean=len(x), own=len(x)),
            "Both terms are sums over the batch. Means are asked for.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, own=-1),
            "The term of the deviation has the wrong sign.",
        ),
        Mistake(
            lambda x, g: normalised_gradient(x, g, mean=-1),
            "The term of the mean has the wrong sign.",
        ),
        Mistake(lambda x, g: normalised(x)[0], "This is the forward pass. The gradient for `x` is asked for."),
    ],
)
def batch_norm_backward(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Return the gradient for a batch whose columns were standardised."""
    return normalised_gradient(x, g)


class Backward:
    """The backward pass of a block's layers: a matrix, so that the order of blocks makes a difference."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def __call__(self, g: np.ndarray) -> np.ndarray:
        """Turn the gradient for the result of f into that for its input."""
        return np.asarray(g, dtype=float) @ self.matrix

    def __repr__(self) -> str:
        return "backward"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Backward) and np.array_equal(self.matrix, other.matrix)

    __hash__ = None


def blocks(count: int, random: np.random.Generator) -> tuple[np.ndarray, list[Backward]]:
    """Draw a gradient that arrives, and the backward passes of so many blocks, in the order of the forward pass."""
    return random.normal(size=(2, 3)), [Backward(random.normal(size=(3, 3))) for _ in range(count)]


def some_blocks(random: np.random.Generator) -> tuple[np.ndarray, list[Backward]]:
    """Draw two to five blocks."""
    return blocks(int(random.integers(2, 6)), random)


def through(g: np.ndarray, backwards: Sequence[Callable], skip: float = 1, inner: float = 1) -> np.ndarray:
    """Send a gradient through blocks; the arguments put the mistakes in."""
    for backward in backwards:
        g = skip * g + inner * backward(g)
    return g


@exercise(
    draw=some_blocks,
    edges=[
        lambda: blocks(0, np.random.default_rng(0)),
        lambda: blocks(1, np.random.default_rng(1)),
        lambda: blocks(2, np.random.default_rng(2)),
        lambda: blocks(9, np.random.default_rng(3)),
    ],
    gaps=[
        Gap(
            lambda g, backwards: len(backwards) < 2,
            "It is right for a single block. Each block has its turn, the last first.",
        ),
        Gap(
            lambda g, backwards: len(backwards) > 0,
            "It goes wrong where there is no block at all: then nothing changes.",
        ),
    ],
    notice="However little comes back through each f, the skips carry the gradient to the first block whole.",
    hint="The last block of the forward pass is the first of the backward pass. What arrives at a block leaves it on "
    "two ways, and where ways meet, gradients are added up.",
    mistakes=[
        Mistake(
            lambda g, backwards: through(g, backwards),
            "It goes through the blocks in the order of the forward pass. The backward pass begins with the last one.",
        ),
        Mistake(
            lambda g, backwards: through(g, backwards[::-1], skip=0),
            "The skips are missing. What arrives also passes each block unchanged.",
        ),
        Mistake(
            lambda g, backwards: through(g, backwards, skip=0),
            "The skips are missing, and the backward pass begins with the last block.",
        ),
        Mistake(
            lambda g, backwards: through(g, backwards[::-1], inner=0),
            "Only the skips are there. What comes back through each f is added.",
        ),
        Mistake(
            lambda g, backwards: g + through(g, backwards[::-1], skip=0),
            "There is one skip over all blocks together. Each block has its own.",
        ),
        Mistake(
            lambda g, backwards: g + sum((backward(g) for backward in backwards), 0 * g),
            "Each block gets what arrived at the last one. It gets what the block after it passes on.",
        ),
        Mistake(
            lambda g, backwards: through(g, backwards[::-1], skip=0.5, inner=0.5),
            "This is the mean of the two ways. Where ways meet, gradients are added up.",
        ),
        Mistake(
            lambda g, backwards: through(g, backwards[:0:-1]),
            "The first block is left out.",
        ),
        Mistake(
            lambda g, backwards: through(g, backwards[-2::-1]),
            "The last block is left out.",
        ),
        Mistake(
            lambda g, backwards: through(g, backwards[::-1], inner=-1),
            "What comes back through f is taken away. It is added.",
        ),
    ],
)
def skip_backward(g: np.ndarray, backwards: Sequence[Callable]) -> np.ndarray:
    """Return the gradient for the input of blocks that each give x + f(x)."""
    return through(g, list(backwards)[::-1])


def batch_and_sizes(random: np.random.Generator) -> tuple[int, list[int]]:
    """Draw a batch size and the sizes of a dense network."""
    sizes = random.integers(5, 900, size=int(random.integers(3, 7)))
    return int(random.integers(1, 513)), [int(size) for size in sizes]


def kept(
    batch: int,
    sizes: Sequence[int],
    number: int = 4,
    mask: int = 1,
    dense: slice = slice(0, -1),
    relu: slice = slice(1, -1),
) -> int:
    """Return how many bytes the layers keep; the arguments put the mistakes in."""
    return batch * (number * sum(sizes[dense]) + mask * sum(sizes[relu]))


def weights(sizes: Sequence[int]) -> int:
    """Return the bytes of the weights and biases of a dense network."""
    return 4 * sum(inputs * outputs + outputs for inputs, outputs in pairwise(sizes))


@exercise(
    draw=batch_and_sizes,
    edges=[
        lambda: (1, [784, 10]),
        lambda: (64, [784, 10]),
        lambda: (1, [784, 100, 10]),
        lambda: (128, [784, 256, 128, 10]),
    ],
    gaps=[
        Gap(
            lambda batch, sizes: len(sizes) == 3,
            "It is right for two dense layers. There may be one, or many.",
        ),
        Gap(lambda batch, sizes: len(sizes) > 2, "It goes wrong where there is one dense layer, and so no ReLU."),
    ],
    notice="The weights do not depend on the batch, and this does: half the batch needs half of it.",
    hint="Go through the layers one by one. What does each keep for one image, how many bytes is that, and for how "
    "many images is it kept?",
    mistakes=[
        Mistake(
            lambda batch, sizes: kept(batch, sizes, mask=4),
            "A ReLU keeps true or false, a byte each, and no numbers of four bytes.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, mask=0),
            "The dense layers are right. The ReLUs keep something, too.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, dense=slice(1, None)),
            "This counts what dense layers give. For the backward pass they keep what they were given.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, dense=slice(0, None)),
            "The logits are counted, too. No dense layer was given them.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, relu=slice(1, None)),
            "There is one ReLU too many: none comes after the last layer.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, relu=slice(0, -1)),
            "There is one ReLU too many: none comes before the first layer.",
        ),
        Mistake(
            lambda batch, sizes: kept(1, sizes),
            "This is for one image. The whole batch is kept.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, number=1),
            "A number takes four bytes.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, number=8),
            "A number takes four bytes here, not eight: 32 bits.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes, dense=slice(1, -1)),
            "The first layer keeps the images, and they are missing.",
        ),
        Mistake(
            lambda batch, sizes: kept(batch, sizes) + weights(sizes),
            "The weights are counted, too. They are there anyway, and one batch does not keep them.",
        ),
        Mistake(
            lambda batch, sizes: weights(sizes),
            "These are the weights. What is kept for the backward pass is what layers were given.",
        ),
    ],
)
def kept_bytes(batch: int, sizes: Sequence[int]) -> int:
    """Return how many bytes the layers of a dense network keep for the backward pass."""
    return kept(batch, sizes)
