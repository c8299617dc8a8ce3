"""Checks of exercise notebook 11: paths and what they spell, a layer in every window, digits side by side, edits."""

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mnist_helpers.checks.exercise import Gap, Mistake, exercise

BLANK = 10


def a_path(random: np.random.Generator) -> tuple[list[int]]:
    """Draw a path with repeats, blanks between equal digits, and blanks at both ends now and then."""
    digits = random.integers(0, 10, size=int(random.integers(2, 6))).tolist()
    path = [BLANK] * int(random.integers(0, 3))
    for place, digit in enumerate(digits):
        equal = place and digits[place - 1] == digit
        path += [BLANK] * int(random.integers(1 if equal else 0, 3)) + [digit] * int(random.integers(1, 4))
    return (path + [BLANK] * int(random.integers(0, 3)),)


def spelled(path: list[int], merge: bool = True, first: str = "merge") -> str:
    """Return what a path spells; the arguments put the mistakes in."""
    if first == "drop":
        path = [label for label in path if label != BLANK]
    runs = [label for label, _run in itertools.groupby(path)] if merge else path
    return "".join(str(label) for label in runs if label != BLANK)


@exercise(
    draw=a_path,
    edges=[
        lambda: ([4, 4, BLANK, 4, 2],),
        lambda: ([BLANK, BLANK],),
        lambda: ([],),
        lambda: ([7],),
        lambda: ([0, 0, BLANK, 0, 0],),
        lambda: ([1, BLANK, 1, BLANK, 1],),
    ],
    notice="The blank has two jobs: it says that nothing new begins, and it keeps two equal digits apart.",
    hint="Go along the path with the class before in hand. A class is written if it differs from the one before it and "
    "is not the blank.",
    mistakes=[
        Mistake(
            lambda path: spelled(path, first="drop"),
            "The blanks are left out first, so that two equal digits melt into one. Write repeats once, and leave out "
            "the blanks after that.",
        ),
        Mistake(lambda path: spelled(path, merge=False), "Repeats are still there. Write each run of a class once."),
        Mistake(
            lambda path: "".join(str(label) for label, _run in itertools.groupby(path)),
            "The blanks are still in it.",
        ),
        Mistake(
            lambda path: "".join(str(label) for label, _run in itertools.groupby([BLANK, *path])).removeprefix("10"),
            "The blanks are still in it.",
        ),
        Mistake(
            lambda path: "".join(dict.fromkeys(spelled(path))),
            "Each digit comes once, although a number may have it several times.",
        ),
        Mistake(
            lambda path: "".join(
                str(one) for one, after in itertools.zip_longest(path, path[1:]) if one not in (after, BLANK)
            )[:-1],
            "The last digit is missing.",
        ),
        Mistake(lambda path: spelled(path)[::-1], "The number is written from behind."),
        Mistake(
            lambda path: [int(digit) for digit in spelled(path)], "These are the right digits. Return them as one text."
        ),
        Mistake(
            lambda path: int(spelled(path) or 0), "A whole number loses the noughts at its beginning. Return a text."
        ),
    ],
)
def spell(path: list[int]) -> str:
    """Return what a path of classes spells."""
    return spelled(path)


def a_dense_layer_and_maps(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a dense layer's weight and bias, and maps larger than those that it was made for."""
    channels, outputs, side = (int(random.integers(2, 5)) for _ in range(3))
    height, width = side + int(random.integers(0, 3)), side + int(random.integers(3, 7))
    shapes = (outputs, channels * side**2), (outputs,), (channels, height, width)
    return tuple(torch.from_numpy(random.normal(size=shape).astype(np.float32)) for shape in shapes)


def everywhere(
    weight: Tensor,
    bias: Tensor,
    maps: Tensor,
    form: Callable[[Tensor], Tensor] = lambda kernels: kernels,
    with_bias: bool = True,
    **options: int,
) -> Tensor:
    """Return a dense layer's sums in every window of maps; the arguments put the mistakes in."""
    side = round((weight.shape[1] / len(maps)) ** 0.5)
    kernels = form(weight.view(len(weight), len(maps), side, side))
    return F.conv2d(maps[None], kernels, bias if with_bias else None, **options)[0]


def layer(channels: int, side: int, height: int, width: int) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
    """Return what gives a layer of two outputs whose weights are all different."""
    numbers = torch.arange(2.0 * channels * side**2)
    return lambda: (
        (numbers / len(numbers)).view(2, -1),
        torch.tensor([0.5, -0.5]),
        torch.linspace(-1, 1, channels * height * width).view(channels, height, width),
    )


@exercise(
    draw=a_dense_layer_and_maps,
    edges=[layer(2, 3, 3, 3), layer(1, 2, 2, 5), layer(3, 1, 2, 3), layer(2, 2, 4, 3)],
    notice="Nothing is learned anew: the same weights, used wherever they fit. Only the shape of the answer has grown.",
    hint="How large is the window for which the layer was made? Its weights stand in the order channel, row, column. "
    "Lay them on every window of the maps, and add the bias.",
    mistakes=[
        Mistake(partial(everywhere, with_bias=False), "The bias is missing."),
        Mistake(
            partial(everywhere, form=lambda k: k.transpose(2, 3)),
            "Rows and columns of the weights are exchanged.",
        ),
        Mistake(
            partial(everywhere, form=lambda k: k.flip(2, 3)),
            "The weights are turned round. They are laid on the window as they are.",
        ),
        Mistake(
            lambda weight, bias, maps: everywhere(
                weight,
                bias,
                maps,
                form=lambda k: k.reshape(len(k), *k.shape[2:], k.shape[1]).permute(0, 3, 1, 2),
            ),
            "The weights stand in the order channel, row, column: the channel changes slowest.",
        ),
        Mistake(
            lambda weight, bias, maps: everywhere(weight, bias, maps)[:, :1, :1],
            "This is the layer in the first window alone. Lay it on every window.",
        ),
        Mistake(
            lambda weight, bias, maps: everywhere(weight, bias, maps).movedim(0, -1),
            "The outputs come first: (outputs, rows, columns).",
        ),
        Mistake(
            lambda weight, bias, maps: everywhere(weight, bias, maps).transpose(1, 2),
            "Rows and columns of the answer are exchanged.",
        ),
        Mistake(
            lambda weight, bias, maps: everywhere(weight, bias, maps)[None],
            "There is one axis too many: the maps are those of one picture.",
        ),
        Mistake(
            partial(everywhere, padding=1),
            "There is white around the maps. Use the windows that fit into them.",
        ),
        Mistake(
            lambda weight, bias, maps: everywhere(weight, bias, maps).relu(),
            "Nothing is asked for but the sums: leave out the ReLU.",
        ),
    ],
)
def in_every_window(weight: Tensor, bias: Tensor, maps: Tensor) -> Tensor:
    """Return what a dense layer gives in every window of some maps."""
    return everywhere(weight, bias, maps)


def two_digits(random: np.random.Generator) -> tuple[Tensor, Tensor, int]:
    """Draw two blots of ink with white around them, which share some rows, and a gap."""
    height, pictures = int(random.integers(6, 10)), []
    for _ in range(2):
        picture = torch.zeros(height, int(random.integers(7, 12)), dtype=torch.bool)
        top, bottom = int(random.integers(0, 3)), height - int(random.integers(0, 3))
        for row in range(top, bottom):
            begin = int(random.integers(0, 4))
            picture[row, begin : begin + int(random.integers(1, 5))] = True
        pictures.append(picture)
    holes = [torch.from_numpy(random.uniform(size=picture.shape) < 0.25) for picture in pictures]
    for picture, hole in zip(pictures, holes, strict=True):  # as in the rows of a nought or an eight
        for row in picture.nonzero()[:, 0].unique().tolist():
            first, last = picture[row].nonzero().flatten()[[0, -1]].tolist()
            picture[row, first + 1 : last] &= ~hole[row, first + 1 : last]
    return *pictures, int(random.integers(-2, 5))


def columns_of(ink: Tensor, last: bool) -> list[int | None]:
    """Return the first or the last column with ink in each row; None in rows without."""
    return [int(row.nonzero()[-1 if last else 0]) if row.any() else None for row in ink]


def begins(left: Tensor, right: Tensor, gap: int, choose: Callable = max, beyond: int = 1) -> int:
    """Return where the right picture begins; the arguments put the mistakes in."""
    rows = zip(columns_of(left, last=True), columns_of(right, last=False), strict=True)
    return choose(one - other for one, other in rows if None not in (one, other)) + gap + beyond


def blots(left: list[str], right: list[str], gap: int) -> Callable[[], tuple[Tensor, Tensor, int]]:
    """Return what gives two pictures in which # is ink."""
    return lambda: (*(torch.tensor([[sign == "#" for sign in row] for row in rows]) for rows in (left, right)), gap)


def run_end(row: Tensor) -> int:
    """Return the last column of the first run of ink in a row."""
    first = int(row.int().argmax())
    return first + int(row[first:].int().cumprod(dim=0).sum()) - 1


def by_box(left: Tensor, right: Tensor, gap: int) -> int:
    """Return where the right picture begins if whole columns count."""
    return int(left.any(dim=0).nonzero()[-1]) - int(right.any(dim=0).nonzero()[0]) + gap + 1


@exercise(
    draw=two_digits,
    edges=[
        blots(["####.", "..#..", ".#..."], ["...#.", "...#.", ".####"], 0),
        blots(["##...", ".....", "##..."], [".....", "#####", "..#.."], 2),
        blots(["#", "#"], ["#", "#"], -1),
        blots([".#..", ".#.."], ["..#", "..#"], 3),
        blots(["#..", "#..", "###"], ["###", "..#", "..#"], 0),
        blots(["#.#.", "####"], ["#.#", "..#"], 1),
    ],
    notice="A gap of white columns is wider than a gap of white pixels: a 7 may hang over its neighbour.",
    hint="In each row in which both have ink: how far must the right picture move so that its first pixel comes after "
    "the last of the left one, with the gap between them? The largest of these distances counts.",
    mistakes=[
        Mistake(by_box, "This leaves white *columns* between them. Row by row they may come closer."),
        Mistake(
            partial(begins, beyond=0),
            "Off by one: with a gap of 0 the ink of the right picture begins in the column after.",
        ),
        Mistake(
            partial(begins, beyond=2),
            "Off by one: with a gap of 0 there is no white pixel between them where they come closest.",
        ),
        Mistake(
            partial(begins, choose=min), "In other rows they run into each other. The row decides that is tightest."
        ),
        Mistake(
            lambda left, right, gap: begins(left, right, -gap),
            "The gap goes the wrong way: a larger one moves the right picture to the right.",
        ),
        Mistake(
            lambda left, right, gap: left.shape[1] + gap,
            "The white at the edges of the pictures counts here. Only ink does.",
        ),
        Mistake(
            lambda left, right, gap: begins(left, right, gap) - int(left.any(dim=0).nonzero()[-1]) - 1,
            "It counts from the right edge of the left picture's ink. Column 0 is that of the left picture.",
        ),
        Mistake(
            lambda left, right, gap: (
                max(
                    run_end(one) - int(other.int().argmax())
                    for one, other in zip(left, right, strict=True)
                    if one.any() and other.any()
                )
                + gap
                + 1
            ),
            "The ink of a row may have holes. Take its last pixel.",
        ),
        Mistake(
            lambda left, right, gap: begins(left, right, gap) + int(right.any(dim=0).nonzero()[0]),
            "This is where the right picture's *ink* begins. Say where its column 0 lies.",
        ),
    ],
)
def begin_of_right(left: Tensor, right: Tensor, gap: int) -> int:
    """Return the column of the left picture in which the right one begins."""
    return begins(left, right, gap)


def a_number_and_columns(random: np.random.Generator) -> tuple[str, int]:
    """Draw a number, in which neighbours are often equal, and so many columns that it fits, usually."""
    digits = random.integers(0, 3, size=int(random.integers(1, 6))) + int(random.integers(0, 7))
    return "".join(map(str, digits)), len(digits) + int(random.integers(0, 8))


def ways(text: str, columns: int, skip: Callable[[str, str], bool] = str.__ne__, blanks: bool = True) -> int:
    """Count the paths that spell a text; the arguments put the mistakes in."""
    states = list("-" + "-".join(text) + "-") if blanks else list(text)
    counts = [1 if at < (2 if blanks else 1) and columns else 0 for at in range(len(states))]
    for _column in range(columns - 1):
        counts = [
            counts[at]
            + (counts[at - 1] if at else 0)
            + (counts[at - 2] if blanks and at > 2 and at % 2 and skip(states[at], states[at - 2]) else 0)
            for at in range(len(states))
        ]
    return sum(counts[-2:] if blanks else counts[-1:])


@exercise(
    draw=a_number_and_columns,
    edges=[
        lambda: ("42", 4),
        lambda: ("44", 4),
        lambda: ("44", 2),  # there is no room for the blank between
        lambda: ("7", 1),
        lambda: ("1111", 7),
        lambda: ("123456", 5),
        lambda: ("314159", 40),
    ],
    gaps=[
        Gap(
            lambda text, columns: all(one != other for one, other in itertools.pairwise(text)),
            "It is right for numbers whose neighbours differ. Between two equal digits there must be a blank.",
        ),
        Gap(
            lambda text, columns: ways(text, columns) > 0,
            "It is right where the number fits. Where there are too few columns for it, no path spells it.",
        ),
    ],
    notice="A few dozen columns, and there are more paths than stars in the galaxy; the table of states stays small.",
    hint="Write the number with blanks around its digits. How many beginnings of paths end in each of these states, "
    "after one column, after two? Each state is reached from itself, from the one before, and from a different digit "
    "past the blank between.",
    mistakes=[
        Mistake(
            partial(ways, skip=lambda one, other: True),
            "The blank between two equal digits may not be left out: they would be read as one.",
        ),
        Mistake(
            partial(ways, skip=lambda one, other: False),
            "The blank between two different digits may be left out.",
        ),
        Mistake(partial(ways, blanks=False), "There are no blanks in these paths. They may stand anywhere."),
        Mistake(
            lambda text, columns: 11**columns, "These are all paths, whatever they spell. Count those that spell it."
        ),
        Mistake(
            lambda text, columns: ways(text, columns) - (ways(text, columns - 1) if columns > 1 else 0),
            "Paths that end with a blank are missing, or those that begin with one.",
        ),
        Mistake(
            lambda text, columns: ways(text, columns + 1),
            "This is for one column more.",
        ),
        Mistake(
            lambda text, columns: ways(text, columns - 1) if columns > 1 else 0,
            "This is for one column fewer.",
        ),
    ],
)
def count_paths(text: str, columns: int) -> int:
    """Return how many paths of so many columns spell a number."""
    return ways(text, columns)


def probabilities_and_number(random: np.random.Generator) -> tuple[Tensor, str]:
    """Draw the probabilities of eleven classes in some columns, and a number that fits into them."""
    text, path = a_number_and_columns(random)[0][:3], []
    for place, digit in enumerate(map(int, text)):
        equal = place and text[place - 1] == text[place]
        path += [BLANK] * int(random.integers(1 if equal else 0, 3)) + [digit] * int(random.integers(1, 3))
    path += [BLANK] * int(random.integers(0, 3))
    likely = torch.eye(11, dtype=torch.float64)[path]  # so that the number is probable: what is nearly 0 tells nothing
    return 0.6 * likely + 0.4 * torch.from_numpy(random.dirichlet(np.ones(11), size=len(path))), text


def total_probability(
    p: Tensor,
    text: str,
    skip: Callable[[int, int], bool] = int.__ne__,
    ends: slice = slice(-2, None),
    starts: int = 2,
    join: Callable = sum,
) -> float:
    """Return the probability of a number by the forward algorithm; the arguments put the mistakes in."""
    states = [BLANK, *itertools.chain.from_iterable((int(digit), BLANK) for digit in text)]
    rows = p.tolist()
    total = [rows[0][state] if at < starts else 0.0 for at, state in enumerate(states)]
    for column in rows[1:]:
        total = [
            column[state]
            * join(
                [
                    total[at],
                    total[at - 1] if at else 0.0,
                    total[at - 2] if at > 2 and at % 2 and skip(state, states[at - 2]) else 0.0,
                ]
            )
            for at, state in enumerate(states)
        ]
    return join(total[ends])


def sharp(path: list[int]) -> Tensor:
    """Return columns in which one class is probable and all others are possible."""
    return 0.7 * torch.eye(11, dtype=torch.float64)[path] + 0.3 / 11


def even(columns: int) -> Tensor:
    """Return columns in which all eleven classes are equally probable."""
    return torch.full((columns, 11), 1 / 11, dtype=torch.float64)


@exercise(
    draw=probabilities_and_number,
    edges=[
        lambda: (even(4), "42"),
        lambda: (even(4), "44"),
        lambda: (even(2), "44"),
        lambda: (even(1), "7"),
        lambda: (torch.eye(11, dtype=torch.float64)[[4, 10, 4, 2, 2]], "442"),
        lambda: (sharp([4, 2, 10, 2, 2]), "422"),
        lambda: (sharp([1, 2, 1, 10]), "121"),
        lambda: (torch.eye(11, dtype=torch.float64)[[10, 7, 10]], "7"),
    ],
    gaps=[
        Gap(
            lambda p, text: all(one != other for one, other in itertools.pairwise(text)),
            "It is right for numbers whose neighbours differ. Between two equal digits there must be a blank.",
        ),
    ],
    by_hand=["ctc_loss"],
    notice="The loss that `F.ctc_loss` gives is minus the logarithm of this number.",
    hint="Keep a sum for each state of the number with blanks around its digits. From column to column a state takes "
    "over its own sum, that of the state before, and past a blank that of a different digit; then times the "
    "probability of its class. In the end the last two states count.",
    mistakes=[
        Mistake(
            partial(total_probability, skip=lambda one, other: True),
            "The blank between two equal digits may not be left out: they would be read as one.",
        ),
        Mistake(
            partial(total_probability, skip=lambda one, other: False),
            "The blank between two different digits may be left out.",
        ),
        Mistake(partial(total_probability, join=max), "This is the best single path. Add up all of them."),
        Mistake(
            partial(total_probability, ends=slice(-1, None)),
            "Paths may also end with the last digit, without a blank after it.",
        ),
        Mistake(partial(total_probability, ends=slice(-2, -1)), "Paths may also end with a blank."),
        Mistake(lambda p, text: total_probability(p[1:], text) if len(p) > 1 else 0.0, "The first column is left out."),
        Mistake(partial(total_probability, starts=1), "Paths may also begin with the first digit, without a blank."),
        Mistake(
            lambda p, text: -float(np.log(max(total_probability(p, text), 1e-300))),
            "This is the loss. The probability itself is asked for.",
        ),
    ],
)
def number_probability(p: Tensor, text: str) -> float:
    """Return the probability of a number: the sum over all paths that spell it."""
    return total_probability(p, text)


def readings(random: np.random.Generator) -> tuple[list[str], list[str]]:
    """Draw some numbers, and what was read of each: digits mistaken, left out and put in."""
    truth, read = [], []
    for _ in range(int(random.integers(3, 7))):
        digits = random.integers(0, 10, size=int(random.integers(1, 7))).tolist()
        truth.append("".join(map(str, digits)))
        for _slip in range(int(random.integers(0, 3))):
            at = int(random.integers(0, len(digits) + 1))
            kind = random.integers(0, 3)
            if kind == 0 and digits:
                digits.pop(min(at, len(digits) - 1))
            elif kind == 1:
                digits.insert(at, int(random.integers(0, 10)))
            elif digits:
                digits[min(at, len(digits) - 1)] = int(random.integers(0, 10))
        read.append("".join(map(str, digits)))
    return read, truth


def edits(read: str, truth: str, exchange: int = 1) -> int:
    """Return the fewest changes that make one text of another (Levenshtein, 1966)."""
    row = list(range(len(truth) + 1))
    for count, one in enumerate(read, start=1):
        before, row[0] = row[0], count
        for at, other in enumerate(truth, start=1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + exchange * (one != other))
    return row[-1]


def swaps(read: str, truth: str) -> int:
    """Return how many pairs of neighbours have changed places, in two texts of the same length."""
    pairs = zip(itertools.pairwise(read), itertools.pairwise(truth), strict=False)
    return sum(one == other[::-1] and one[0] != one[1] for one, other in pairs) if len(read) == len(truth) else 0


def rate(read: list[str], truth: list[str], of: Callable[[str, str], int] = edits, by: str = "truth") -> float:
    """Return edits by digits; the arguments put the mistakes in."""
    total = sum(map(of, read, truth))
    return total / max(1, sum(map(len, truth if by == "truth" else read)))


@exercise(
    draw=readings,
    edges=[
        lambda: (["123"], ["123"]),
        lambda: (["23"], ["123"]),  # one left out: no other digit is wrong
        lambda: (["1123", "7"], ["123", "7"]),
        lambda: ([""], ["42"]),
        lambda: (["12345"], ["54321"]),
        lambda: (["9", "123456"], ["8", "123456"]),
        lambda: (["777777"], ["1"]),  # more than there are digits
        lambda: (["21"], ["12"]),  # two edits: nothing is said of neighbours that change places
    ],
    notice="A digit that is left out costs one, not one for each digit behind it. And the rate may exceed 1.",
    hint="For two texts, keep a table of the fewest edits between their beginnings: it grows from the three neighbours "
    "above, to the left and on the diagonal. Then the edits of all numbers, divided by all digits that were written.",
    mistakes=[
        Mistake(
            lambda read, truth: sum(map(str.__ne__, read, truth)) / len(truth),
            "This is the share of numbers that are not wholly right. Count edits of digits.",
        ),
        Mistake(
            lambda read, truth: rate(
                read,
                truth,
                lambda one, other: sum(a != b for a, b in itertools.zip_longest(one, other)),
            ),
            "It compares place by place, so a digit left out at the beginning makes all others wrong.",
        ),
        Mistake(
            lambda read, truth: rate(read, truth, lambda one, other: sum(map(str.__ne__, one, other))),
            "It compares only as far as the shorter of the two goes.",
        ),
        Mistake(
            partial(rate, of=partial(edits, exchange=2)),
            "To exchange a digit for another is one edit, not two.",
        ),
        Mistake(
            partial(rate, of=lambda read, truth: edits(read, truth) - swaps(read, truth)),
            "Neighbours that have changed places are two edits, not one.",
        ),
        Mistake(partial(rate, by="read"), "It divides by the digits that were read. Take those that were written."),
        Mistake(
            lambda read, truth: sum(edits(*pair) / len(pair[1]) for pair in zip(read, truth, strict=True)) / len(truth),
            "This is a mean of rates, in which short numbers weigh as much as long ones. Add up first, then divide.",
        ),
        Mistake(
            lambda read, truth: float(sum(map(edits, read, truth))),
            "These are the edits of all numbers. Divide by the digits that were written.",
        ),
        Mistake(
            lambda read, truth: min(1.0, rate(read, truth)),
            "It stops at 1. Where more was read than was written, the rate may be higher.",
        ),
        Mistake(
            lambda read, truth: sum(map(edits, read, truth)) / len(truth),
            "It divides by how many numbers there are. Divide by the digits that were written.",
        ),
        Mistake(lambda read, truth: 1 - rate(read, truth), "This is one minus the rate."),
    ],
)
def digit_error_rate(read: list[str], truth: list[str]) -> float:
    """Return the edits that all readings need, divided by the digits that were written."""
    return rate(read, truth)
