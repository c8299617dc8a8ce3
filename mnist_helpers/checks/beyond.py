"""Checks of exercise notebook 9: measures of doubt, thresholds that promise something, attacks."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Gap, Mistake, exercise
from mnist_helpers.checks.traces import traces


def some_logits(random: np.random.Generator) -> tuple[Tensor]:
    """Draw logits, of some images so large that their exponentials are infinite."""
    count = int(random.integers(2, 6))
    shift = torch.from_numpy(random.choice([0.0, 5.0, 300.0, -300.0], size=(count, 1)).astype(np.float32))
    return (3 * inputs.normal(random, count, 10) + shift,)


@exercise(
    draw=some_logits,
    by_hand=("logsumexp", "logaddexp", "log_softmax", "cross_entropy", "logcumsumexp"),
    edges=[
        lambda: (torch.zeros(1, 10),),
        lambda: (torch.full((2, 10), 1000.0),),
        lambda: (torch.full((1, 10), -1000.0),),
        lambda: (torch.arange(20.0).view(2, 10),),
    ],
    gaps=[
        Gap(
            lambda logits: logits.abs().max() < 80,
            "It goes wrong where logits are large, or far below zero. Take the largest out of the sum first.",
        )
    ],
    notice="Add 10 to all logits, and the energy falls by 10, while no probability changes.",
    hint="For each image: the exponentials of the logits less the largest of them, their sum, its logarithm, and the "
    "largest added again. The sign comes last.",
    mistakes=[
        Mistake(
            lambda logits: logits.logsumexp(dim=1), "The sign is missing: the greater the doubt, the larger it is."
        ),
        Mistake(
            lambda logits: -logits.logsumexp(dim=0),
            "The sum runs over the images. It belongs to the ten logits of each.",
        ),
        Mistake(lambda logits: -logits.amax(dim=1), "This is the largest logit alone. All ten are in the sum."),
        Mistake(
            lambda logits: -(logits - logits.amax(dim=1, keepdim=True)).logsumexp(dim=1),
            "The largest logit was taken out and never added again.",
        ),
        Mistake(lambda logits: -logits.sum(dim=1), "This adds up the logits. Their exponentials are added up."),
        Mistake(
            lambda logits: -logits.logsumexp(dim=1) + np.log(10),
            "This is the logarithm of a mean. The sum is asked for.",
        ),
        Mistake(lambda logits: -logits.exp().sum(dim=1), "The logarithm is missing."),
        Mistake(
            lambda logits: -logits.logsumexp(dim=1) / np.log(10),
            "The logarithm has another base. `log` is the natural one.",
        ),
        Mistake(
            lambda logits: -logits.softmax(dim=1).sum(dim=1).log(),
            "After a softmax the sum is 1, whatever came before.",
        ),
        Mistake(
            lambda logits: -logits.amax(dim=1) + (logits - logits.amax(dim=1, keepdim=True)).logsumexp(dim=1),
            "One of the two terms has the wrong sign. Both are taken away.",
        ),
        Mistake(
            lambda logits: -logits.logsumexp(dim=(0, 1)), "There is one number for all images. Each has its own energy."
        ),
    ],
)
def energy(logits: Tensor) -> Tensor:
    """Return minus the logarithm of the sum of the exponentials of each image's logits."""
    return -logits.logsumexp(dim=1)


def logits_and_temperature(random: np.random.Generator) -> tuple[Tensor, float]:
    """Draw logits and a temperature above or below 1."""
    return 4 * inputs.normal(random, int(random.integers(1, 6)), 10), float(random.choice([0.4, 0.7, 1.5, 2.5, 4]))


def sure(logits: Tensor) -> Tensor:
    """Return the largest probability of each row."""
    return logits.softmax(dim=1).amax(dim=1)


@exercise(
    draw=logits_and_temperature,
    edges=[
        lambda: (torch.zeros(2, 10), 3.0),
        lambda: (torch.tensor([[4.0, 1.0] + [-30.0] * 8]), 3.0),
        lambda: (torch.tensor([[300.0] + [0.0] * 9, [-50.0] * 9 + [-49.0]]), 0.5),
        lambda: (torch.arange(20.0).view(2, 10), 1.0),
    ],
    notice="The order of the classes stays. Only how sure it sounds has changed; at a very high temperature, 10% each.",
    hint="Divide the logits first; then softmax, and the largest probability of each row.",
    mistakes=[
        Mistake(lambda logits, t: sure(logits * t), "It multiplies by the temperature. A high one makes less sure."),
        Mistake(
            lambda logits, t: sure(logits) / t, "The confidence is divided. Divide the logits, before the softmax."
        ),
        Mistake(lambda logits, t: sure(logits), "The temperature is not used."),
        Mistake(
            lambda logits, t: (logits / t).softmax(dim=1),
            "These are the probabilities of all classes. The confidence is the largest of them.",
        ),
        Mistake(
            lambda logits, t: (logits / t).softmax(dim=0).amax(dim=1),
            "The softmax runs over the images. It belongs to the ten logits of each: dimension 1.",
        ),
        Mistake(lambda logits, t: (logits / t).amax(dim=1), "The softmax is missing: these are logits."),
        Mistake(
            lambda logits, t: (logits / t).softmax(dim=1).argmax(dim=1),
            "These are the classes. The confidence is the probability of the class.",
        ),
        Mistake(
            lambda logits, t: (logits.softmax(dim=1) / t).softmax(dim=1).amax(dim=1),
            "The softmax is applied twice. Divide the logits, and apply it once.",
        ),
        Mistake(lambda logits, t: sure(logits) ** (1 / t), "The confidence is raised to a power. Divide the logits."),
    ],
)
def confidence_at(logits: Tensor, temperature: float) -> Tensor:
    """Return the confidence for each image, with the logits divided by a temperature."""
    return sure(logits / temperature)


def two_doubts(random: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw the doubts about strangers and about digits, with ties, and a share of digits that may be refused."""
    digits = torch.from_numpy(random.integers(0, 60, size=40).astype(np.float32)) / 60
    strange = torch.from_numpy(random.integers(10, 80, size=int(random.integers(5, 30))).astype(np.float32)) / 80
    return strange, digits, float(random.choice([0.05, 0.1, 0.25]))


def limit_for(digits: Tensor, share: float) -> Tensor:
    """Return the smallest doubt above which lies at most this share of the digits."""
    allowed = int(share * len(digits) + 1e-9)
    return digits.sort(descending=True).values[allowed]


@exercise(
    draw=two_doubts,
    edges=[
        lambda: (torch.tensor([0.9, 0.5, 0.1]), torch.linspace(0, 0.95, 20), 0.05),
        lambda: (torch.full((4,), 0.5), torch.full((10,), 0.5), 0.1),  # all alike: nobody is refused
        lambda: (torch.ones(3), torch.zeros(10), 0.1),
        lambda: (torch.tensor([0.35, 0.3, 0.31]), torch.arange(10) / 10, 0.0),
    ],
    rounds=12,
    notice="A measure of doubt is only as good as what it costs: here, digits that are refused all the same.",
    hint="First the threshold, from the digits alone: sort their doubts, the largest first. How many of them may lie "
    "above it? Then count the strangers that do.",
    mistakes=[
        Mistake(
            lambda strange, digits, share: (strange > limit_for(strange, share)).float().mean(),
            "The threshold comes from the strangers. In use nobody knows them: take it from the digits.",
        ),
        Mistake(
            lambda strange, digits, share: (strange > share).float().mean(),
            "It takes the share for the threshold. The threshold is a doubt that few digits exceed.",
        ),
        Mistake(
            lambda strange, digits, share: (strange <= limit_for(digits, share)).float().mean(),
            "This is the share that gets through. Asked is the share that is caught.",
        ),
        Mistake(
            lambda strange, digits, share: (strange > limit_for(digits, 1 - share - 1e-6)).float().mean(),
            "The threshold lies at the wrong end: nearly all digits are refused.",
        ),
        Mistake(
            lambda strange, digits, share: (strange >= limit_for(digits, share)).float().mean(),
            "A doubt equal to the threshold is no reason to refuse: larger ones are.",
        ),
        Mistake(
            lambda strange, digits, share: (strange > limit_for(digits, share)).sum(),
            "This is a number of strangers. Asked is their share.",
        ),
        Mistake(
            lambda strange, digits, share: (strange > digits.max()).float().mean(),
            "No digit at all is refused. A share of them may be.",
        ),
        Mistake(
            lambda strange, digits, share: (digits > limit_for(digits, share)).float().mean(),
            "This is the share of digits that is refused. Asked are the strangers.",
        ),
        Mistake(
            lambda strange, digits, share: (strange > digits.mean()).float().mean(),
            "The threshold is the mean of the digits' doubts. About half of them lie above that.",
        ),
    ],
)
def caught(strange: Tensor, digits: Tensor, refused: float) -> Tensor:
    """Return the share of strangers whose doubt lies above a threshold that at most a share of the digits exceeds."""
    return (strange > limit_for(digits, refused)).float().mean()


def answers(random: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw confidences, all different, which answers were right, and a risk."""
    count = int(random.integers(12, 40))
    confidence = torch.from_numpy(random.permutation(np.linspace(0.3, 0.99, count)).astype(np.float32))
    right = torch.from_numpy(random.uniform(size=count) < confidence.numpy() ** 0.5)
    return confidence, right, float(random.choice([0.02, 0.1, 0.2]))


def risks(confidence: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return the confidences, the largest first, and the risk of answering from each upwards."""
    order = confidence.argsort(descending=True)
    wrong = (~right[order]).float()
    return confidence[order], wrong.cumsum(0) / torch.arange(1, len(wrong) + 1)


def lowest(confidence: Tensor, right: Tensor, risk: float, first: bool = False, strict: bool = False) -> float:
    """Return the lowest confidence from which on the risk is small enough; the arguments put mistakes in."""
    thresholds, found = risks(confidence, right)
    fine = found < risk if strict else found <= risk
    if first:  # the last one before the first that is not
        fine = fine.long().cumprod(0).bool()
    return thresholds[fine].min().item() if fine.any() else 1.0


def small_risk(confidence: list[float], right: list[int], risk: float) -> Callable[[], tuple[Tensor, Tensor, float]]:
    """Return what gives such answers."""
    return lambda: (torch.tensor(confidence), torch.tensor(right, dtype=torch.bool), risk)


@exercise(
    draw=answers,
    edges=[
        small_risk([0.9, 0.8, 0.7], [1, 1, 1], 0.0),
        small_risk([0.9, 0.8, 0.7], [0, 1, 1], 0.1),  # not even the surest
        small_risk([0.95, 0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1, 1], 0.2),  # too risky for a while, and then no more
        small_risk([0.6, 0.9, 0.8, 0.7], [1, 1, 0, 1], 0.25),
        small_risk([0.5], [1], 0.1),
    ],
    gaps=[
        Gap(
            lambda confidence, right, risk: (
                lowest(confidence, right, risk) == lowest(confidence, right, risk, first=True)
            ),
            "The risk may rise above the limit and fall below it again further down. Look at all thresholds.",
        ),
        Gap(
            lambda confidence, right, risk: lowest(confidence, right, risk) < 1,
            "Where even the surest answer is too risky, nothing may be answered: return 1.0.",
        ),
    ],
    rounds=12,
    notice="The lowest one answers most images. Whether the promise holds for other images is another question.",
    hint="Sort by confidence, the surest first. For each place: how many of the answers so far are wrong, of how many? "
    "Which is the last place at which that is small enough?",
    mistakes=[
        Mistake(
            lambda confidence, right, risk: lowest(confidence, right, risk, first=True),
            "The risk may rise above the limit and fall below it again further down. Look at all thresholds.",
        ),
        Mistake(
            lambda confidence, right, risk: lowest(confidence, right, risk, strict=True),
            "A risk that equals the limit is small enough.",
        ),
        Mistake(
            lambda confidence, right, risk: 1 - risk, "One minus the risk is no threshold: confidence is not accuracy."
        ),
        Mistake(
            lambda confidence, right, risk: (
                risks(confidence, right)[0][risks(confidence, right)[1] <= risk].max().item()
                if (risks(confidence, right)[1] <= risk).any()
                else 1.0
            ),
            "This is the highest threshold with so small a risk. The lowest one answers more images.",
        ),
        Mistake(
            lambda confidence, right, risk: lowest(confidence, ~right, risk),
            "Right and wrong are exchanged: the risk is the share of wrong answers.",
        ),
        Mistake(
            lambda confidence, right, risk: lowest(-confidence, right, risk) * -1.0,
            "It answers the least sure images first. Begin with the surest.",
        ),
        Mistake(
            lambda confidence, right, risk: (
                risks(confidence, right)[1][risks(confidence, right)[1] <= risk].max().item()
                if (risks(confidence, right)[1] <= risk).any()
                else 1.0
            ),
            "This is a risk. Asked is the confidence from which on it is reached.",
        ),
        Mistake(lambda confidence, right, risk: confidence[right].min().item(), "This is the least sure right answer."),
    ],
)
def threshold_for(confidence: Tensor, right: Tensor, risk: float) -> float:
    """Return the lowest of the confidences from which on the risk of answering is at most so large; 1.0 if none is."""
    return lowest(confidence, right, risk)


def moved_pixels(random: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Draw images and what an attack has made of them, too far in many places."""
    images = torch.from_numpy(random.uniform(size=(2, 1, 4, 5)).astype(np.float32))
    return images + 0.6 * inputs.normal(random, 2, 1, 4, 5), images, float(random.choice([0.1, 0.2, 0.3]))


def held(changed: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """Pull back to within epsilon."""
    return torch.minimum(torch.maximum(changed, images - epsilon), images + epsilon)


@exercise(
    draw=moved_pixels,
    edges=[
        lambda: (torch.tensor([[[[2.0, -1.0, 0.5, 0.15]]]]), torch.tensor([[[[0.95, 0.05, 0.5, 0.1]]]]), 0.1),
        lambda: (torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), 0.3),
        lambda: (torch.full((1, 1, 1, 3), 0.4), torch.full((1, 1, 1, 3), 0.4), 0.0),
    ],
    notice="Both limits hold at once: near the image, and a picture at all. After each step of an attack.",
    hint="Two limits for each pixel from the image, one below and one above it. And a picture has numbers from 0 to 1.",
    mistakes=[
        Mistake(held, "Some pixels lie below black or above white. A picture has numbers from 0 to 1."),
        Mistake(
            lambda changed, images, epsilon: changed.clamp(0, 1),
            "Some pixels are further than epsilon from where they were.",
        ),
        *[
            Mistake(
                lambda changed, images, epsilon, low=low: changed.clamp(max(low, -epsilon), epsilon),
                "The pixels themselves are held within epsilon of 0. Hold the *change* within epsilon.",
            )
            for low in (-1.0, 0.0)
        ],
        Mistake(
            lambda changed, images, epsilon: (changed - images).clamp(-epsilon, epsilon),
            "This is the change alone. Add it to the image.",
        ),
        Mistake(
            lambda changed, images, epsilon: (images + epsilon * (changed - images).sign()).clamp(0, 1),
            "All pixels are moved by the whole epsilon. Those that moved less stay where they are.",
        ),
        Mistake(
            lambda changed, images, epsilon: torch.minimum(changed, images + epsilon).clamp(0, 1),
            "Only the upper limit is kept. A pixel may not fall by more than epsilon either.",
        ),
        Mistake(
            lambda changed, images, epsilon: torch.maximum(changed, images - epsilon).clamp(0, 1),
            "Only the lower limit is kept. A pixel may not rise by more than epsilon either.",
        ),
        Mistake(
            lambda changed, images, epsilon: (images + epsilon * (changed - images)).clamp(0, 1),
            "The change is made smaller by the factor epsilon. Cut it off at epsilon.",
        ),
        Mistake(
            lambda changed, images, epsilon: held(images, changed, epsilon).clamp(0, 1),
            "The image and what was made of it have changed places.",
        ),
        Mistake(lambda changed, images, epsilon: images.clone(), "This is the image as it was."),
    ],
)
def within(changed: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """Pull each pixel back to within epsilon of where it was, and into the range from 0 to 1."""
    return held(changed, images, epsilon).clamp(0, 1)


def network_and_wish(random: np.random.Generator) -> tuple[nn.Sequential, Tensor, Tensor, float]:
    """Draw a network, digits, and the classes that they are to be taken for."""
    digits, labels = inputs.float_digits(random, 6)
    wanted = (labels + torch.from_numpy(random.integers(1, 10, size=6))) % 10
    return inputs.network(random).eval(), digits, wanted, float(random.choice([0.05, 0.1, 0.25]))


def wishing(count: int, epsilon: float) -> Callable[[], tuple[nn.Sequential, Tensor, Tensor, float]]:
    """Return what gives a network and so many digits, all to be taken for a 3."""

    def give() -> tuple[nn.Sequential, Tensor, Tensor, float]:
        random = np.random.default_rng(count)
        digits, _ = inputs.float_digits(random, count)
        return inputs.network(random).eval(), digits, torch.full((count,), 3), epsilon

    return give


def stepped(
    model: nn.Module,
    images: Tensor,
    wanted: Tensor,
    epsilon: float,
    way: float = -1,
    bounded: bool = True,
    direction: Callable[[Tensor], Tensor] = torch.sign,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Tensor:
    """Move pixels along the gradient for wanted classes; the arguments put the mistakes in."""
    pixels = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(model(pixels), wanted), pixels)
    changed = images + way * epsilon * direction(gradient)
    return changed.clamp(0, 1) if bounded else changed


def attack_and_traces(changed: object, model: nn.Module, images: Tensor, *_given: object) -> tuple:
    """Return what an attack made of the images, and what it left behind in the network."""
    grads = [parameter.grad for parameter in model.parameters()]
    return changed, traces(model) | {
        "The gradients of the weights are in the network now. `torch.autograd.grad` asks for the pixels alone.": [
            0.0 if grad is None else grad.sum().item() for grad in grads
        ],
    }


@exercise(
    draw=network_and_wish,
    measure=attack_and_traces,
    edges=[wishing(1, 0.1), wishing(4, 0.5), wishing(3, 0.0)],
    rounds=5,
    notice="With a wish, the loss has to fall: it is the loss of the class that the network is to say.",
    hint="What is to become small here? Take the gradient of that loss for the pixels, and go against it, by epsilon "
    "in each pixel.",
    mistakes=[
        Mistake(
            lambda *given: stepped(*given, way=1),
            "It goes uphill, away from the wanted class. Its loss is to fall.",
        ),
        Mistake(
            lambda *given: stepped(*given, bounded=False),
            "Some pixels lie below black or above white. A picture has numbers from 0 to 1.",
        ),
        Mistake(
            lambda *given: stepped(*given, direction=lambda gradient: gradient),
            "It follows the gradient itself, which is tiny. Each pixel moves by a whole epsilon, by the sign.",
        ),
        Mistake(
            lambda *given: stepped(*given, way=1, bounded=False),
            "It goes uphill, away from the wanted class, and out of the range from 0 to 1.",
        ),
        Mistake(
            lambda *given: stepped(*given, direction=lambda gradient: gradient / gradient.abs().max()),
            "Only the pixel with the largest gradient moves by epsilon. All of them do, by the sign.",
        ),
        Mistake(
            lambda model, images, wanted, epsilon: stepped(model, images, model(images).argmax(dim=1), epsilon, way=1),
            "It drives the network away from what it says. Drive it towards the wanted class.",
        ),
        Mistake(
            lambda *given: stepped(*given, loss=lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)),
            "The softmax is applied twice. Most signs are right all the same, but not all.",
        ),
        Mistake(lambda model, images, wanted, epsilon: images.clone(), "Nothing has changed."),
    ],
)
def towards(model: nn.Module, images: Tensor, wanted: Tensor, epsilon: float) -> Tensor:
    """Return the images after a step of epsilon in each pixel, towards the wanted classes."""
    return stepped(model, images, wanted, epsilon)
