"""Checks of exercise notebook 10: splits without leaks, the luck of the best, fair comparisons, doubtful labels."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mnist_helpers.checks.exercise import Gap, Mistake, exercise


def networks_and_images(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw which images some networks read correctly, and which of the images were looked at."""
    networks, images = int(random.integers(2, 7)), int(random.integers(30, 60))
    right = torch.from_numpy(random.uniform(size=(networks, images)) < random.uniform(0.5, 0.9, (networks, 1)))
    shown = torch.zeros(images, dtype=torch.bool)
    shown[torch.from_numpy(random.permutation(images)[: int(random.integers(8, 20))])] = True
    return right, shown


def small(right: list[list[int]], shown: list[int]) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return what gives these networks and images."""
    return lambda: (torch.tensor(right, dtype=torch.bool), torch.tensor(shown, dtype=torch.bool))


def excess(
    right: Tensor,
    shown: Tensor,
    choose: Callable[[Tensor], Tensor] = lambda scores: scores.argmax(),
    chosen_on: str = "shown",
    truth_on: str = "hidden",
) -> Tensor:
    """Return by how much the score of the chosen network exceeds the truth; the arguments put the mistakes in."""
    parts = {"shown": right[:, shown], "hidden": right[:, ~shown], "all": right}
    scores = {name: part.float().mean(dim=1) for name, part in parts.items()}
    best = choose(scores[chosen_on])
    return scores["shown"][best] - scores[truth_on][best]


@exercise(
    draw=networks_and_images,
    edges=[
        small([[1, 1, 0, 0], [1, 0, 1, 1]], [1, 1, 0, 0]),
        small([[0, 0, 1, 1, 1], [1, 0, 0, 0, 0], [0, 0, 1, 1, 1]], [1, 1, 0, 0, 0]),
        small([[1, 0, 1, 0]], [1, 1, 0, 0]),  # nothing to choose from
        small([[1, 0, 1, 1, 0], [0, 1, 0, 1, 1]], [1, 1, 0, 0, 0]),  # a tie: the first
    ],
    notice="With one network there is nothing to choose, and luck averages out. With many, the luckiest is chosen.",
    hint="Which network is best on the images that were looked at? Its accuracy there is reported; the truth is its "
    "accuracy on all the others.",
    mistakes=[
        Mistake(
            lambda right, shown: excess(right, shown, truth_on="all"),
            "The truth is measured on all images, those that chose it among them. Take the others only.",
        ),
        Mistake(
            lambda right, shown: excess(right, shown, chosen_on="hidden"),
            "The network is chosen on the images that nobody has looked at.",
        ),
        Mistake(
            lambda right, shown: excess(right, shown, chosen_on="all"),
            "The network is chosen on all images. Only some were looked at.",
        ),
        Mistake(
            lambda right, shown: excess(right, shown, choose=lambda scores: scores.argmin()),
            "This is the worst network. The best one is reported.",
        ),
        Mistake(lambda right, shown: -excess(right, shown), "The sign is the wrong way round: reported minus true."),
        Mistake(
            lambda right, shown: 100 * excess(right, shown), "These are points. A difference of shares is asked for."
        ),
        Mistake(
            lambda right, shown: right[:, shown].float().mean(dim=1).max() - right[:, ~shown].float().mean(dim=1).max(),
            "Reported and true are those of two different networks. Choose one, and look at it twice.",
        ),
        Mistake(
            lambda right, shown: right[:, shown].float().mean() - right[:, ~shown].float().mean(),
            "This is about all networks together. Only the best one is reported.",
        ),
        Mistake(
            lambda right, shown: right[:, shown].float().mean(dim=1).max(),
            "This is what is reported. Take the truth off.",
        ),
    ],
)
def too_good(right: Tensor, shown: Tensor) -> Tensor:
    """Return by how much the best network on some images looks better there than on the others."""
    return excess(right, shown)


def groups_and_share(random: np.random.Generator) -> tuple[Tensor, int]:
    """Draw whose image each is, in no order, and how many images to hold out at the least."""
    writers = int(random.integers(4, 9))
    groups = torch.from_numpy(random.integers(0, writers, size=int(random.integers(20, 40)))) * 3 + 1
    return groups, int(random.integers(3, 10))


def whole(groups: Tensor, least: int, enough: Callable[[int, int], bool] = lambda held, least: held >= least) -> Tensor:
    """Hold out whole groups, the largest number first, until enough images are held out."""
    held = torch.zeros(len(groups), dtype=torch.bool)
    for group in groups.unique().flip(0).tolist():
        if enough(int(held.sum()), least):
            break
        held |= groups == group
    return held


def by_image(groups: Tensor, least: int) -> Tensor:
    """Hold out exactly so many images, those with the largest numbers first."""
    return torch.zeros(len(groups), dtype=torch.bool).index_fill(
        0, groups.argsort(descending=True, stable=True)[:least], True
    )


@exercise(
    draw=groups_and_share,
    edges=[
        lambda: (torch.tensor([5, 5, 5, 2, 2, 9]), 1),
        lambda: (torch.tensor([5, 5, 5, 2, 2, 9]), 2),
        lambda: (torch.tensor([1, 2, 1, 2, 1, 2]), 3),
        lambda: (torch.tensor([4, 4, 7]), 3),
    ],
    notice="Some more images are held out than asked for. That is the price: a writer is in one part or in the other.",
    hint="Go through the numbers of the writers, the largest first. Hold out all images of a writer, and only then ask "
    "whether there are enough.",
    mistakes=[
        Mistake(by_image, "Some writers are in both parts. Hold out all images of a writer, or none."),
        Mistake(
            lambda groups, least: by_image(groups.flip(0), least).flip(0),
            "Some writers are in both parts. Hold out all images of a writer, or none.",
        ),
        Mistake(
            lambda groups, least: whole(groups, least, lambda held, least: held > least),
            "It goes on although there are enough: `least` images are enough.",
        ),
        Mistake(
            lambda groups, least: ~whole(groups, least), "The two parts are exchanged: True is for what is held out."
        ),
        Mistake(lambda groups, least: groups == groups.max(), "One writer is held out, whatever `least` says."),
        Mistake(
            lambda groups, least: whole(-groups, least),
            "It begins with the smallest number. The task begins with the largest.",
        ),
        Mistake(
            lambda groups, least: torch.arange(len(groups)) >= len(groups) - least,
            "The last images are held out, whoever wrote them.",
        ),
        Mistake(
            lambda groups, least: torch.arange(len(groups)) < least,
            "The first images are held out, whoever wrote them.",
        ),
    ],
)
def hold_out_writers(writers: Tensor, least: int) -> Tensor:
    """Return which images to hold out: all of the writers with the largest numbers, until `least` images are."""
    return whole(writers, least)


def two_networks(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw which images two networks read correctly; they agree on most."""
    first = torch.from_numpy(random.uniform(size=int(random.integers(60, 200))) < 0.9)
    change = torch.from_numpy(random.uniform(size=len(first)) < random.uniform(0.05, 0.3))
    pair = first, first ^ change
    return pair if random.integers(2) else pair[::-1]  # either may be the better one


def binomial(few: int, both: int) -> float:
    """Return how probable it is that a fair coin falls so few times or fewer on one side."""
    return sum(math.comb(both, k) for k in range(few + 1)) / 2**both


def counts(first: Tensor, second: Tensor) -> tuple[int, int]:
    """Return how many images only the first reads, and only the second."""
    return int((first & ~second).sum()), int((~first & second).sum())


def p_of(first: Tensor, second: Tensor, sides: float = 2, most: float = 1.0) -> float:
    """Return the p-value; the arguments put the mistakes in."""
    a, b = counts(first, second)
    return min(most, sides * binomial(min(a, b), a + b))


def pair(a: int, b: int, both: int = 5, neither: int = 2) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return what gives two networks with so many differences."""
    first = [1] * a + [0] * b + [1] * both + [0] * neither
    second = [0] * a + [1] * b + [1] * both + [0] * neither
    return lambda: (torch.tensor(first, dtype=torch.bool), torch.tensor(second, dtype=torch.bool))


@exercise(
    draw=two_networks,
    edges=[pair(0, 0), pair(3, 3), pair(0, 6), pair(9, 1), pair(30, 40), pair(1, 0)],
    gaps=[
        Gap(
            lambda first, second: counts(first, second)[0] <= counts(first, second)[1],
            "It is right where the second network is the better one. Either may be.",
        ),
        Gap(
            lambda first, second: counts(first, second)[0] != counts(first, second)[1],
            "Where both are level, twice the tail is more than 1. A probability is at most 1.",
        ),
    ],
    notice="What both read, or neither, does not count, however many images that are.",
    hint="Count the images that only one of the two reads, for each. How probable is it that a fair coin falls on the "
    "rarer side so often or more seldom? Both sides count, so twice that, but at most 1.",
    mistakes=[
        Mistake(
            lambda first, second: p_of(first, second, sides=1),
            "This is for one side. Either network may be better: twice that.",
        ),
        Mistake(
            lambda first, second: p_of(first, second, most=math.inf),
            "Where both are level, twice the tail is more than 1. A probability is at most 1.",
        ),
        Mistake(
            lambda first, second: min(
                1.0,
                2 * math.comb(sum(counts(first, second)), min(counts(first, second))) / 2 ** sum(counts(first, second)),
            ),
            "This is the probability of exactly this split. Add those that are more uneven.",
        ),
        Mistake(lambda first, second: 1 - p_of(first, second), "This is one minus the p-value."),
        Mistake(
            lambda first, second: min(1.0, 2 * binomial(max(counts(first, second)), sum(counts(first, second)))),
            "It counts from the more frequent side. Take the rarer one.",
        ),
        Mistake(
            lambda first, second: min(1.0, 2 * binomial(min(counts(first, second)), len(first))),
            "The coin is thrown once for each image. Only images on which the two differ count.",
        ),
        Mistake(
            lambda first, second: min(
                1.0, 2 * binomial(min(int((~first).sum()), int((~second).sum())), int((~first).sum() + (~second).sum()))
            ),
            "It counts the mistakes of each. Those that both make say nothing about which is better.",
        ),
    ],
)
def p_value(first: Tensor, second: Tensor) -> float:
    """Return the p-value of McNemar's exact test for two networks on the same images."""
    return p_of(first, second)


def shares(random: np.random.Generator) -> tuple[float, float]:
    """Draw the shares of images that only the one and only the other network reads; no count comes out whole."""
    return float(random.uniform(0.0001, 0.003)), float(random.uniform(0.0035, 0.008))


def needed(a: float, b: float, z: float = 1.96 + 0.84, up: Callable[[float], float] = math.ceil) -> int:
    """Return how many images show a difference."""
    return up(z**2 * (a + b) / (a - b) ** 2)


@exercise(
    draw=shares,
    edges=[lambda: (0.0041, 0.003), lambda: (0.003, 0.0041), lambda: (0.5, 0.0), lambda: (0.0049, 0.0022)],
    notice="If both shares are halved, n doubles; if the difference alone is, n is four times as large.",
    hint="Square what the task gives, times the share of images on which the two differ, divided by the square of the "
    "difference. A part of an image is a whole one more.",
    mistakes=[
        Mistake(lambda a, b: needed(a, b, up=math.floor), "Rounded down, there is one image too few. Round up."),
        Mistake(lambda a, b: needed(a, b, up=lambda n: n), "There are no parts of images. Round up to a whole number."),
        Mistake(
            lambda a, b: math.ceil(2.8**2 * (a + b) / abs(a - b)),
            "The difference is not squared.",
        ),
        Mistake(lambda a, b: math.ceil(2.8 * (a + b) / (a - b) ** 2), "The 2.8 is squared, too."),
        Mistake(lambda a, b: needed(a, b, z=1.96), "Without the 0.84 the difference is noticed only half of the time."),
        Mistake(
            lambda a, b: math.ceil(2.8**2 / (a - b) ** 2),
            "The share on which the two differ is missing: most images say nothing.",
        ),
        Mistake(
            lambda a, b: math.ceil(2.8**2 * (a + b) / (a - b)) if a != b else 0,
            "The difference is squared; then its sign does not matter either.",
        ),
        Mistake(lambda a, b: math.ceil(2.8**2 * (a - b) ** 2 / (a + b)), "The fraction is upside down."),
    ],
)
def images_needed(only_first: float, only_second: float) -> int:
    """Return how many test images show the difference between two networks four times in five."""
    return needed(only_first, only_second)


def votes_and_labels(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw what five people saw in some images, and the labels."""
    count = int(random.integers(4, 12))
    labels = torch.from_numpy(random.integers(0, 10, size=count))
    sure = torch.from_numpy(random.uniform(size=(count, 5)) < random.uniform(0.2, 0.9, (count, 1)))
    other = torch.from_numpy(random.integers(0, 10, size=(count, 5)))
    return torch.where(sure, labels[:, None], other), labels


def agreeing(votes: Tensor, labels: Tensor) -> Tensor:
    """Return how many of the votes are for the label."""
    return (votes == labels[:, None]).sum(dim=1)


@exercise(
    draw=votes_and_labels,
    edges=[
        lambda: (torch.tensor([[3, 3, 3, 5, 5], [3, 3, 5, 5, 5], [1, 2, 3, 4, 5]]), torch.tensor([3, 3, 3])),
        lambda: (torch.tensor([[7, 7, 1, 1, 2]]), torch.tensor([7])),  # no majority at all
        lambda: (torch.full((2, 5), 4), torch.tensor([4, 9])),
    ],
    notice="A label can be rejected although people do not agree on another one: then nobody knows what it is.",
    hint="Count, for each image, the votes for its label. Fewer than three of five reject it.",
    mistakes=[
        Mistake(lambda votes, labels: agreeing(votes, labels) >= 3, "These are the labels that were confirmed."),
        Mistake(lambda votes, labels: agreeing(votes, labels) <= 3, "Three of five confirm a label."),
        Mistake(lambda votes, labels: agreeing(votes, labels) < 2, "Two of five do not confirm a label."),
        Mistake(
            lambda votes, labels: agreeing(votes, labels) == 0,
            "It asks for nobody. Fewer than three are enough to reject.",
        ),
        Mistake(
            lambda votes, labels: agreeing(votes, labels) < 5,
            "It rejects as soon as one differs. Three of five confirm a label.",
        ),
        Mistake(
            lambda votes, labels: torch.stack([row.mode().values for row in votes]) != labels,
            "The most frequent vote is not a majority: with two votes of five the label is rejected all the same.",
        ),
        Mistake(
            lambda votes, labels: agreeing(votes, labels),
            "These are numbers of votes. Say for each label whether it is rejected.",
        ),
        Mistake(
            lambda votes, labels: (agreeing(votes, labels) < 3).sum(),
            "This is a number. Say for each label whether it is rejected.",
        ),
        Mistake(
            lambda votes, labels: (
                torch.stack([torch.bincount(r, minlength=10).max() >= 3 for r in votes]) & (agreeing(votes, labels) < 3)
            ),
            "A label is rejected even if people do not agree on another digit.",
        ),
    ],
)
def rejected(votes: Tensor, labels: Tensor) -> Tensor:
    """Return which labels fewer than three of five people confirm."""
    return agreeing(votes, labels) < 3


def probabilities(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw probabilities and labels of three to five classes, each of which occurs."""
    classes = int(random.integers(3, 6))
    labels = torch.from_numpy(np.concatenate([np.arange(classes), random.integers(0, classes, size=25)]))
    p = torch.from_numpy(random.dirichlet(np.full(classes, 0.4), size=len(labels)).astype(np.float32))
    return p, labels[torch.from_numpy(random.permutation(len(labels)))]


def own_means(p: Tensor, labels: Tensor) -> Tensor:
    """Return, for each class, the mean of its probability over the images that carry its label."""
    return torch.stack([p[labels == j, j].mean() for j in range(p.shape[1])])


def suspected(p: Tensor, labels: Tensor, thresholds: Tensor | None = None, reach: Callable = torch.ge) -> Tensor:
    """Return which labels are suspect; the arguments put the mistakes in."""
    thresholds = own_means(p, labels) if thresholds is None else thresholds
    likely = torch.where(reach(p, thresholds), p, torch.zeros(()))
    sure, other = likely.max(dim=1)
    return (sure > 0) & (other != labels)


@exercise(
    draw=probabilities,
    edges=[
        lambda: (torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.95, 0.05]]), torch.tensor([0, 1, 1])),
        lambda: (torch.eye(3), torch.tensor([0, 1, 2])),
        lambda: (torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 1])),  # just reached
        lambda: (torch.tensor([[0.6, 0.4], [0.55, 0.45], [0.4, 0.6], [0.58, 0.42]]), torch.tensor([0, 0, 1, 1])),
    ],
    notice="Each class has a threshold of its own, so that one of which the network is never quite sure gets its due.",
    hint="A threshold for each class: the mean of its probability over the images that carry its label. Which classes "
    "reach theirs, in each row? Of these the most probable; suspect is a row where that is not the label.",
    mistakes=[
        Mistake(
            lambda p, labels: p.argmax(dim=1) != labels,
            "This suspects every label that the network does not read. It has to be *sure enough* of another class.",
        ),
        Mistake(
            lambda p, labels: suspected(p, labels, p.mean(dim=0)),
            "The thresholds are means over all images. Take those that carry the class's label.",
        ),
        Mistake(
            lambda p, labels: suspected(p, labels, torch.full((p.shape[1],), 0.5)),
            "The threshold is ½ for all classes. Each has its own.",
        ),
        Mistake(
            lambda p, labels: (
                (p >= own_means(p, labels)).any(dim=1) & ~(p >= own_means(p, labels))[torch.arange(len(p)), labels]
            ),
            "Where the label's own class reaches its threshold as well, the more probable of the two counts.",
        ),
        Mistake(
            lambda p, labels: p[torch.arange(len(p)), labels] < own_means(p, labels)[labels],
            "This suspects labels of which the network is not sure. It has to be sure of another one.",
        ),
        Mistake(lambda p, labels: ~suspected(p, labels), "These are the labels that are *not* suspect."),
        Mistake(
            lambda p, labels: suspected(p, labels, reach=torch.gt),
            "A probability that equals its threshold reaches it.",
        ),
    ],
)
def suspect_labels(p: Tensor, labels: Tensor) -> Tensor:
    """Return which labels are suspect by the rule of confident learning."""
    return suspected(p, labels)
