"""Checks of exercise notebook 5: pictures of kernels, places, silence, saliency, covering, neighbours, worth."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from mnist_helpers import inspection
from mnist_helpers.checks import inputs
from mnist_helpers.checks.exercise import Gap, Mistake, exercise
from mnist_helpers.checks.traces import traces, watch


def a_kernel(random: np.random.Generator) -> tuple[Tensor]:
    """Draw a kernel whose largest weight is, as often as not, a negative one."""
    side = int(random.integers(3, 7))
    kernel = inputs.normal(random, side, side)
    kernel[tuple(random.integers(side, size=2))] = float(random.choice([-4, 4]))
    return (kernel * float(random.uniform(0.2, 3)),)


def one_signed(sign: int) -> Callable[[], tuple[Tensor]]:
    """Return what gives a kernel whose weights are all positive, or all negative, the largest one in a corner."""
    return lambda: (sign * torch.arange(1.0, 10).view(3, 3),)


def weak() -> tuple[Tensor]:
    """Give a kernel of small weights, as trained ones have."""
    return (torch.arange(-3.0, 6).view(3, 3) / 20,)


@exercise(
    draw=a_kernel,
    edges=[one_signed(1), one_signed(-1), weak],
    gaps=[
        Gap(
            lambda kernel: kernel.abs().max() > 0.5,
            "It is right for large weights alone. The one furthest from 0 becomes 0 or 1, however small it is.",
        ),
    ],
    notice="Grey is 0, so one sees at once where a kernel wants ink (light) and where it wants none (dark).",
    hint="One factor for all weights, then add 0.5. Which factor brings the weight furthest from 0 to 0 or 1?",
    mistakes=[
        Mistake(
            lambda kernel: (kernel - kernel.min()) / (kernel.max() - kernel.min()),
            "All numbers fit, but 0 is another grey in each kernel. Let 0 always be 0.5.",
        ),
        Mistake(
            lambda kernel: kernel / kernel.abs().max(),
            "These numbers lie between -1 and 1, and a picture's between 0 and 1.",
        ),
        Mistake(
            lambda kernel: kernel / (2 * kernel.max()) + 0.5,
            "Where the largest weight is a negative one, it leaves the range: take the largest *absolute* weight.",
        ),
        Mistake(
            lambda kernel: kernel.abs() / kernel.abs().max(),
            "The signs are lost: wanting ink and wanting none look the same.",
        ),
        Mistake(
            lambda kernel: 0.5 - kernel / (2 * kernel.abs().max()),
            "Light and dark are exchanged: the factor is negative. Weights above 0 become lighter than 0.5.",
        ),
        Mistake(
            lambda kernel: kernel / kernel.abs().max() + 0.5,
            "These numbers lie between -0.5 and 1.5: only half of the factor is wanted.",
        ),
        Mistake(
            lambda kernel: (kernel / kernel.abs().max() + 0.5).clamp(0, 1),
            "It cuts off what lies outside of 0 to 1, so large weights look alike. Choose a smaller factor.",
        ),
        Mistake(
            lambda kernel: (kernel + 0.5).clamp(0, 1),
            "It cuts off what lies outside of 0 to 1, so large weights look alike. Which factor is wanted?",
        ),
        Mistake(
            lambda kernel: kernel + 0.5, "The factor is missing: 0 has become 0.5, but large weights leave 0 to 1."
        ),
        Mistake(
            lambda kernel: kernel / (kernel.max() - kernel.min()) + 0.5,
            "The factor is that of the whole range. Of the largest and the smallest weight, one may be further from 0.",
        ),
        Mistake(
            lambda kernel: (kernel - kernel.mean()) / (2 * (kernel - kernel.mean()).abs().max()) + 0.5,
            "The mean of the weights becomes 0.5. Let 0 become that: subtract nothing.",
        ),
        Mistake(
            lambda kernel: kernel / (2 * kernel.norm()) + 0.5,
            "The factor is that of the root of the sum of squares. Which one brings the furthest weight to 0 or 1?",
        ),
        *[
            Mistake(
                lambda kernel, dim=dim: kernel / (2 * kernel.abs().amax(dim=dim, keepdim=True)) + 0.5,
                f"Each {line} has a factor of its own. Use one for all weights.",
            )
            for dim, line in ((1, "row"), (0, "column"))
        ],
        Mistake(
            lambda kernel: torch.where(kernel > 0, kernel / kernel.max(), -kernel / kernel.min()) / 2 + 0.5,
            "Weights above 0 and below have factors of their own. Use one for all.",
        ),
        *[
            Mistake(
                lambda kernel, whole=whole: whole(255 * (kernel / (2 * kernel.abs().max()) + 0.5)),
                "These numbers go up to 255. A picture's go from 0 to 1 here.",
            )
            for whole in (torch.round, torch.floor, torch.clone)
        ],
        Mistake(
            lambda kernel: kernel.abs() / (2 * kernel.abs().max()) + 0.5,
            "The signs are lost: wanting ink and wanting none look the same.",
        ),
        Mistake(
            lambda kernel: (kernel / (2 * kernel.max()) + 0.5).clamp(0, 1),
            "Where the largest weight is a negative one, numbers are cut off: take the largest *absolute* weight.",
        ),
        Mistake(
            torch.sigmoid, "A sigmoid squeezes large weights more than small ones. One factor for all is asked for."
        ),
    ],
)
def as_picture(kernel: Tensor) -> Tensor:
    """Return a kernel as a picture: numbers from 0 to 1, and 0 becomes 0.5. Shapes: (K, K) → (K, K)."""
    return kernel / (2 * kernel.abs().max()) + 0.5


def a_map(random: np.random.Generator) -> tuple[Tensor]:
    """Draw a feature map that is wider than high, all its numbers negative in some rounds."""
    values = inputs.normal(random, int(random.integers(4, 7)), int(random.integers(8, 12)))
    return (values - float(random.choice([0, 5])),)


def largest_at(row: int, column: int, rows: int = 5, columns: int = 9) -> Callable[[], tuple[Tensor]]:
    """Return what gives a map whose largest number has this place."""

    def give() -> tuple[Tensor]:
        values = inputs.normal(np.random.default_rng(0), rows, columns)
        values[row, column] = 9
        return (values,)

    return give


def largest_at_both(one: tuple[int, int], other: tuple[int, int]) -> Callable[[], tuple[Tensor]]:
    """Return what gives a map whose largest number has two places."""

    def give() -> tuple[Tensor]:
        (values,) = largest_at(*one)()
        values[other] = values.max()
        return (values,)

    return give


def nearly_equal() -> tuple[Tensor]:
    """Give a map whose two largest numbers hardly differ, the larger second."""
    (values,) = largest_at(3, 6)()
    values[1, 2] = values.max() - 0.001
    return (values,)


def far_below() -> tuple[Tensor]:
    """Give a map whose numbers are all far below zero."""
    return (largest_at(2, 3)()[0] - 1e5,)


@exercise(
    draw=a_map,
    edges=[
        largest_at(0, 0),
        largest_at(4, 8),
        largest_at(0, 6, rows=1),
        largest_at(6, 2, rows=8, columns=3),
        far_below,
        largest_at_both((3, 2), (1, 5)),
        nearly_equal,
    ],
    gaps=[
        Gap(
            lambda values: int((values == values.max()).sum()) == 1,
            "It goes wrong where several numbers are equally large. Take the first, row by row; its row and its "
            "column belong together.",
        ),
        Gap(
            lambda values: values.flatten().topk(2).values.diff().abs().item() > 0.001,
            "It goes wrong where two numbers are nearly equal. The larger counts, however little larger.",
        ),
        Gap(
            lambda values: values.max() > 0,
            "It goes wrong where all numbers are negative. Does a search begin with 0? Begin with a number of the map.",
        ),
        Gap(
            lambda values: values.max() > -1e4,
            "It goes wrong where all numbers are far below 0. Does a search begin with some number? Begin with one of "
            "the map.",
        ),
        Gap(
            lambda values: values.argmax() // values.shape[1] < values.shape[0] - 1,
            "It goes wrong where the largest number is in the last row. Look through all rows.",
        ),
        Gap(
            lambda values: values.argmax() % values.shape[1] < values.shape[1] - 1,
            "It goes wrong where the largest number is in the last column. Look through all columns.",
        ),
        Gap(
            lambda values: all(
                at < size - 1 for at, size in zip(strongest_place.solve(values), values.shape, strict=True)
            ),
            "It goes wrong where the largest number is in the last row or column. Look through all of them.",
        ),
    ],
    notice="`argmax` counts through the rows one after the other; `divmod` undoes that.",
    hint="Find the place of the largest number, and say its row and its column.",
    mistakes=[
        Mistake(lambda values: values.argmax(), "One number: it counts through all rows. Turn it into row and column."),
        Mistake(
            lambda values: divmod(values.argmax().item(), values.shape[1])[::-1],
            "Row and column are exchanged.",
        ),
        Mistake(
            lambda values: divmod(values.argmax().item(), values.shape[0]),
            "A row is as long as there are *columns*: divide by the width.",
        ),
        Mistake(
            lambda values: divmod(values.abs().argmax().item(), values.shape[1]),
            "It takes the largest absolute number. A filter is excited where its answer is large and positive.",
        ),
        Mistake(
            lambda values: (values.amax(dim=1).argmax() + 1, values.amax(dim=0).argmax() + 1),
            "It counts from 1. Rows and columns are counted from 0.",
        ),
        Mistake(
            lambda values: divmod(values.argmin().item(), values.shape[1]),
            "This is the place of the smallest number.",
        ),
        Mistake(lambda values: values.max(), "This is the largest number itself. The task asks for its place."),
        Mistake(
            lambda values: (values.sum(dim=1).argmax(), values.sum(dim=0).argmax()),
            "These are the row and the column with the largest sums. The largest number may lie elsewhere.",
        ),
        *[
            Mistake(answer, "One of the two is right. A row is as long as there are *columns*: use the width twice.")
            for answer in (
                lambda values: (values.argmax() // values.shape[0], values.argmax() % values.shape[1]),
                lambda values: (values.argmax() // values.shape[1], values.argmax() % values.shape[0]),
            )
        ],
        Mistake(
            lambda values: (values.amax(dim=1).argmax(), values[0].argmax()),
            "The row is right. The column is that of the largest number in the first row.",
        ),
        Mistake(
            lambda values: divmod(values.argmax().item(), 28),
            "A map need not be 28 wide. Divide by the number of its columns.",
        ),
        Mistake(
            lambda values: (values.max(), values.argmax()),
            "These are the largest number and its place in one long row. The task asks for its row and its column.",
        ),
        Mistake(
            lambda values: (values[:, 0].argmax(), values[0].argmax()),
            "It looks at the first column and the first row only. Look at the whole map.",
        ),
        Mistake(
            lambda values: (values.sum(dim=1).argmax(), values[values.sum(dim=1).argmax()].argmax()),
            "It takes the row with the largest sum. The largest number may lie in another one.",
        ),
        Mistake(
            lambda values: (values.argmax(dim=0), values.argmax(dim=1)),
            "`argmax` with a dimension gives a place for each column or row. The task asks for that of one number.",
        ),
        Mistake(
            lambda values: (round(values.argmax().item() / values.shape[1]), values.argmax().item() % values.shape[1]),
            "The row is rounded, and so often one too large: divide without a remainder.",
        ),
        Mistake(
            lambda values: (values.argmax().item() / values.shape[1], values.argmax().item() % values.shape[1]),
            "The row should be a whole number: divide without a remainder.",
        ),
    ],
)
def strongest_place(values: Tensor) -> tuple[int, int]:
    """Return row and column of the largest number. Shapes: (H, W) → two whole numbers, from 0."""
    return divmod(values.argmax().item(), values.shape[1])


LAYERS = {"conv1": 4, "conv2": 6}  # of the networks that are drawn, with their filters


def network_and_filter(
    random: np.random.Generator, layer: str = "", filters: tuple[int, int] = tuple(LAYERS.values())
) -> tuple[nn.Sequential, str, int, Tensor]:
    """Draw a network, in which somebody's hook is already, a filter of one of its layers, and images."""
    layer = layer or str(random.choice(list(LAYERS)))
    images, _ = inputs.float_digits(random, 6)
    model = inputs.network(random, dropout=0.5, filters=filters).eval()
    model.get_submodule(layer).register_forward_hook(watch)
    return model, layer, int(random.integers(LAYERS[layer])), images


def chosen(layer: str, index: int) -> Callable[[], tuple[nn.Sequential, str, int, Tensor]]:
    """Return what gives a network, this filter, and images."""

    def give() -> tuple[nn.Sequential, str, int, Tensor]:
        model, _, _, images = network_and_filter(np.random.default_rng(index))
        return model, layer, index, images

    return give


def before_a_normalisation() -> tuple[nn.Sequential, str, int, Tensor]:
    """Give a network whose first layer is followed by a batch normalisation, which moves zeros; a filter; images."""
    model, layer, index, images = chosen("conv1", 2)()
    model.elu1 = nn.BatchNorm2d(model.conv1.out_channels).eval()
    model.elu1.running_mean -= 0.5
    return model, layer, index, images


def with_silence(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Return the logits while a filter is silent."""
    with inspection.silenced(model, layer, index), torch.no_grad():
        return model(images)


def without_weights(model: nn.Sequential, layer: str, index: int, images: Tensor, bias: bool = True) -> Tensor:
    """Set the weights of a filter to zero for good, with or without its bias."""
    with torch.no_grad():
        model.get_submodule(layer).weight[index] = 0
        if bias:
            model.get_submodule(layer).bias[index] = 0
        return model(images)


def kept_bias(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Set the weights of a filter to zero for a while, but not its bias."""
    before = model.get_submodule(layer).weight.detach().clone()
    logits = without_weights(model, layer, index, images, bias=False)
    with torch.no_grad():
        model.get_submodule(layer).weight.copy_(before)
    return logits


def replaced(model: nn.Sequential, layer: str, images: Tensor, mute: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the logits while a layer's output is replaced."""
    handle = model.get_submodule(layer).register_forward_hook(lambda _layer, _given, output: mute(output))
    try:
        return model(images)
    finally:
        handle.remove()


def all_but(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Silence all filters but one."""
    return replaced(
        model, layer, images, lambda output: output * (torch.arange(output.shape[1]) == index)[:, None, None]
    )


def image_silenced(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Silence all filters for one image."""
    chosen = (torch.arange(len(images)) != index).view(-1, 1, 1, 1)
    return replaced(model, layer, images, lambda output: output * chosen)


def left_hook(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Silence a filter by a hook and leave it there."""

    def hook(_layer: nn.Module, _given: tuple, output: Tensor) -> Tensor:
        return output * (torch.arange(output.shape[1]) != index)[:, None, None]

    model.get_submodule(layer).register_forward_hook(hook)
    return model(images)


def input_silenced(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Silence a channel of what a layer gets, counted round if there are fewer."""

    def hook(_layer: nn.Module, given: tuple) -> Tensor:
        return given[0] * (torch.arange(given[0].shape[1]) != index % given[0].shape[1])[:, None, None]

    with model.get_submodule(layer).register_forward_pre_hook(hook):
        return model(images)


def while_training(answer: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return an answer for which the network is in train mode meanwhile."""

    def give(model: nn.Sequential, *given: object) -> Tensor:
        result = answer(model.train(), *given)
        model.eval()
        return result

    return give


TRAINING = (
    "While you ask it, the network is in train mode, and its dropout makes the answers random. Leave it in `eval`."
)


def logits_and_traces(result: object, model: nn.Sequential, _layer: str, _filter: int, images: Tensor) -> tuple:
    """Return what was returned, and what is left behind; and what the network answers then."""
    answers = "Afterwards the network still answers as if something were silent. Put back what you changed."
    kind = "The numbers are right, but no tensor: 5.7 needs one. Return the logits as PyTorch gives them."
    return result, traces(model) | {answers: model(images), kind: isinstance(result, Tensor)}


@exercise(
    draw=network_and_filter,
    rounds=2,
    edges=[chosen("conv1", 0), chosen("conv2", 3), chosen("conv1", 3), chosen("conv2", 5), before_a_normalisation],
    notice="Nothing of the network was changed, so the next filter can be tried at once.",
    hint="Set channel `index` of the layer's output to 0, for all images, and let the rest of the network go on.",
    measure=logits_and_traces,
    gaps=[
        *[
            Gap(
                lambda model, layer, index, images, known=known: layer == known,
                f"It is right for {known} alone. Silence a filter of the layer whose name is given.",
            )
            for known in LAYERS
        ],
        Gap(
            lambda model, layer, index, images: not isinstance(model.elu1, nn.BatchNorm2d),
            "It goes wrong where a batch normalisation comes next. Silence what the layer itself answers, not what the "
            "next one makes of it.",
        ),
        Gap(
            lambda model, layer, index, images: index == 0,
            "It is right for the first filter alone. `index` says which one to take; does it count from 0?",
        ),
    ],
    mistakes=[
        Mistake(
            lambda model, layer, index, images: with_silence(model, layer, 0, images),
            "It always silences the first filter. `index` says which one to take.",
        ),
        Mistake(
            without_weights,
            "The logits are right, but afterwards the network still answers as if the filter were silent. "
            "Put back what you changed.",
        ),
        Mistake(
            left_hook,
            "The logits are right, but afterwards the network still answers as if the filter were silent. "
            "Your hook has to be removed.",
        ),
        *[
            Mistake(
                answer,
                "The bias still speaks: without its weights a filter answers with its bias everywhere. "
                "Silence its output.",
            )
            for answer in (kept_bias, lambda *given: without_weights(*given, bias=False))
        ],
        Mistake(
            lambda model, layer, index, images: model(images),
            "No filter is silent: these are the network's usual logits.",
        ),
        Mistake(
            image_silenced,
            "It silences all filters for image number `index`: the first dimension of an output counts images, "
            "the second one filters.",
        ),
        Mistake(
            lambda model, layer, index, images: replaced(model, layer, images, lambda output: output * 0),
            "The whole layer is silent. The task asks for one of its filters.",
        ),
        Mistake(
            all_but,
            "It is the other way round: this filter speaks, and all others are silent.",
        ),
        Mistake(
            lambda *given: with_silence(*given).softmax(dim=1),
            "These are probabilities. The task asks for the logits.",
        ),
        Mistake(
            lambda *given: with_silence(*given).argmax(dim=1),
            "These are the digits that are read. The task asks for the logits.",
        ),
        *[
            Mistake(
                lambda model, layer, index, images, by=by: with_silence(
                    model, layer, (index + by) % LAYERS[layer], images
                ),
                f"It silences the filter {where} the one that is asked for. The first filter has the index 0.",
            )
            for by, where in ((1, "behind"), (-1, "before"))
        ],
        Mistake(
            lambda model, layer, index, images: replaced(
                model, layer, images, lambda output: output * (torch.arange(output.shape[2]) != index)[:, None]
            ),
            "It silences a row of all maps. The second dimension of an output counts filters, the third one rows.",
        ),
        Mistake(
            lambda model, layer, index, images: model(images) - with_silence(model, layer, index, images),
            "This is what the logits lose. The task asks for the logits themselves.",
        ),
        Mistake(
            input_silenced,
            "Something earlier is silenced, what the layer gets. Silence what it answers: one of its own filters.",
        ),
        Mistake(
            lambda model, layer, index, images: model(images).index_fill(1, torch.tensor(index), 0),
            "It sets a logit to 0. Silence a filter of the layer, and let the rest of the network go on.",
        ),
        Mistake(
            lambda model, layer, index, images: replaced(
                model,
                layer,
                images,
                lambda output: output.index_copy(
                    1, torch.tensor([index]), output[:, [index]].mean().expand_as(output[:, [index]])
                ),
            ),
            "The filter answers its mean everywhere. It should answer 0.",
        ),
        Mistake(while_training(with_silence), TRAINING),
    ],
)
def silenced_logits(model: nn.Sequential, layer: str, index: int, images: Tensor) -> Tensor:
    """Return the logits while one filter of a layer answers 0. Shapes: images (N, 1, 28, 28) float → (N, 10)."""
    return with_silence(model, layer, index, images)


def network_image_label(random: np.random.Generator) -> tuple[nn.Sequential, Tensor, int]:
    """Draw a network, an image on paper that is nowhere quite white, so that each pixel counts, and a class."""
    images, _ = inputs.float_digits(random, 1)
    stains = torch.from_numpy(random.uniform(0, 0.3, size=images.shape).astype(np.float32))
    return inputs.network(random, dropout=0.5).eval(), torch.maximum(images, stains), int(random.integers(10))


def asked_about(label: int) -> Callable[[], tuple[nn.Sequential, Tensor, int]]:
    """Return what gives a network, an image, and this class."""
    return lambda: (*network_image_label(np.random.default_rng(label))[:2], label)


def on_paper(grey: float, stains: float) -> Callable[[], tuple[nn.Sequential, Tensor, int]]:
    """Return what gives a network, an image whose paper is so grey and has stains so dark, and a class."""

    def give() -> tuple[nn.Sequential, Tensor, int]:
        model, image, label = network_image_label(np.random.default_rng(5))
        image = torch.where(image < 0.3, stains * image, image)
        return model, grey + (1 - grey) * image, label

    return give


def with_bare_spots() -> tuple[nn.Sequential, Tensor, int]:
    """Give a network, an image with pixels of exactly 0, each alone (side by side they would tie in the pooling)."""
    model, image, label = network_image_label(np.random.default_rng(3))
    image[..., ::5, ::5] = 0
    return model, image, label


def with_traces(result: object, model: nn.Sequential, *_given: object) -> tuple:
    """Return what was returned, and what is left behind."""
    return result, traces(model)


def gradient(
    model: nn.Sequential,
    image: Tensor,
    label: int,
    of: Callable[[Tensor, int], Tensor] = lambda logits, k: logits[0, k],
) -> Tensor:
    """Return how a number made of the logits changes with each pixel."""
    pixels = image.clone().requires_grad_()
    return torch.autograd.grad(of(model(pixels), label), pixels)[0][0, 0]


def left_in_the_image(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Go back to the image itself, and leave the gradient in it."""
    model(image.requires_grad_())[0, label].backward()
    image.requires_grad_(False)
    return image.grad[0, 0].abs()


@exercise(
    draw=network_image_label,
    rounds=2,
    edges=[asked_about(0), asked_about(9), with_bare_spots],
    gaps=[
        Gap(
            lambda model, image, label: bool((image > 0).all()),
            "It says nothing of pixels without ink. They matter, too: ink could be there.",
        ),
    ],
    twice=True,
    measure=with_traces,
    notice="Bright pixels are those that the network listens to, not those that are inked.",
    hint="Let the image require a gradient, and go back from the logit of the class.",
    mistakes=[
        Mistake(
            gradient,
            "The signs are still there. How strongly a pixel matters is the absolute value.",
        ),
        Mistake(
            lambda model, image, label: gradient(model, image, label, lambda logits, k: logits.softmax(1)[0, k]).abs(),
            "This is the gradient of the probability, which vanishes where the network is sure. Take the logit.",
        ),
        Mistake(
            lambda model, image, label: gradient(model, image, label, lambda logits, _k: logits.sum()).abs(),
            "This is the gradient of all ten logits together. Take that of the class.",
        ),
        Mistake(
            lambda model, image, label: gradient(model, image, label).abs() * image[0, 0],
            "It is multiplied with the image. Pixels without ink matter, too.",
        ),
        Mistake(lambda *given: gradient(*given).abs().T, "Rows and columns are exchanged."),
        Mistake(
            left_in_the_image,
            "Asked twice about the same image, it gives two answers: the first gradient is left in the image, and the "
            "next is added to it. Use a copy.",
        ),
        Mistake(while_training(lambda *given: gradient(*given).abs()), TRAINING),
        Mistake(
            lambda *given: 2 * gradient(*given).abs(),
            "It is twice as large: going back a second time adds to the gradient that is there.",
        ),
        Mistake(
            lambda model, image, label: sum(gradient(model, image, digit).abs() for digit in range(10)),
            "These are the absolute gradients of all ten logits, added. Take that of the class.",
        ),
        *[
            Mistake(
                lambda model, image, label, other=other: gradient(model, image, other(label)).abs(),
                "This is the gradient for another class. Take the logit with the number `label`.",
            )
            for other in (
                lambda label: (label + 1) % 10,
                lambda label: label - 1,
                lambda label: 0,
                lambda label: 9,
            )
        ],
        Mistake(lambda *given: gradient(*given) ** 2, "The gradient is squared. How strongly is its absolute value."),
        *[
            Mistake(answer, "It is scaled to a range of its own. Return the absolute values as they are.")
            for answer in (
                lambda *given: gradient(*given).abs() / gradient(*given).abs().max(),
                lambda *given: gradient(*given).abs() / gradient(*given).abs().sum(),
                lambda *given: (
                    (gradient(*given).abs() - gradient(*given).abs().min())
                    / (gradient(*given).abs().max() - gradient(*given).abs().min())
                ),
            )
        ],
        Mistake(
            lambda *given: gradient(*given).clamp(min=0),
            "Negative gradients have become 0. A pixel that speaks against the class counts as well.",
        ),
        Mistake(
            lambda model, image, label: gradient(model, image, label, lambda logits, _k: logits.max()).abs(),
            "This is the gradient of the largest logit. Take that of the class that is asked for.",
        ),
        *[
            Mistake(
                lambda model, image, label, of=of: gradient(model, image, label, of).abs(),
                "This is the gradient of the loss, or of a logarithm of the probability. Take that of the logit.",
            )
            for of in (lambda logits, k: logits.log_softmax(1)[0, k], lambda logits, k: logits.softmax(1)[0, k].log2())
        ],
    ],
)
def saliency(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Return how strongly each pixel changes the logit of a class. Shapes: image (1, 1, 28, 28) float → (28, 28)."""
    return gradient(model, image, label).abs()


def losses(
    model: nn.Sequential,
    image: Tensor,
    label: int,
    fill: float = 0.0,
    pile: bool = False,
    apart: int = 4,
    side: int = 4,
    compare: Callable[[Tensor, Tensor], Tensor] = torch.sub,
    scale: Callable[[Tensor], Tensor] = lambda logits: logits.softmax(dim=1),
) -> Tensor:
    """Cover each 4 × 4 square in turn and return what the class loses; the arguments put mistakes in."""
    covered = image.repeat(50, 1, 1, 1)  # the last one stays as it is
    for place in range(49):
        row, column = apart * (place // 7), apart * (place % 7)
        covered[place : 49 if pile else place + 1, :, row : row + side, column : column + side] = fill
    with torch.no_grad():
        scores = scale(model(covered))
    return compare(scores[-1, label], scores[:-1, label]).view(7, 7)


def losses_one_by_one(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Ask about one covered image after the other: with dropout, chance falls in another order."""
    with torch.no_grad():
        before = model(image).softmax(dim=1)[0, label]
        after = torch.zeros(7, 7)
        for row, column in np.ndindex(7, 7):
            covered = image.clone()
            covered[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
            after[row, column] = model(covered).softmax(dim=1)[0, label]
    return before - after


def but_one(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Cover all squares but one."""
    shown = torch.eye(49).view(49, 1, 7, 7).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    with torch.no_grad():
        probabilities = model(torch.cat([image, image * shown])).softmax(dim=1)[:, label]
    return (probabilities[0] - probabilities[1:]).view(7, 7)


@exercise(
    draw=network_image_label,
    rounds=2,
    edges=[asked_about(0), asked_about(9), on_paper(0.3, 1.0), on_paper(0.0, 0.05)],
    notice="Negative numbers are places that spoke against the class: without them it becomes more likely.",
    hint="For each of 7 × 7 squares: a copy of the image with it set to 0, and the probability before minus after.",
    measure=with_traces,
    mistakes=[
        Mistake(
            lambda model, image, label: -losses(model, image, label),
            "The sign is turned: the task asks for what the class *loses*, before minus after.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, fill=1.0),
            "It covers with ink. The paper is 0.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, fill=float(image.min())),
            "It covers with the smallest number of the image. The paper is 0, whatever the image.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, scale=lambda logits: logits),
            "It compares logits. The task asks for probabilities.",
        ),
        Mistake(
            lambda *given: losses(*given, pile=True),
            "The covers pile up: begin each time with a fresh copy of the image.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, apart=1),
            "The squares overlap: the next one begins four pixels further on.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label).T,
            "Rows and columns are exchanged.",
        ),
        *[
            Mistake(
                lambda *given, side=side: losses(*given, side=side),
                f"The squares are {side} × {side} pixels large, and should be 4 × 4. Where does a slice end?",
            )
            for side in (3, 5, 7)
        ],
        Mistake(
            lambda *given: losses(*given, side=28),
            "Everything to the right of a square and below it is covered, too. A slice needs an end.",
        ),
        Mistake(
            lambda model, image, label: losses(model, image, label, fill=float(image.mean())),
            "It covers with the mean of the image. The paper is 0.",
        ),
        Mistake(lambda *given: losses(*given, fill=0.5), "It covers with grey. The paper is 0."),
        Mistake(
            lambda *given: losses(*given, compare=lambda before, after: 1 - after),
            "It subtracts from 1. Subtract from the probability that the class has with nothing covered.",
        ),
        Mistake(
            lambda *given: torch.nn.functional.pad(losses(*given)[:6, :6], (0, 1, 0, 1)),
            "The last row and the last column of squares are not covered: `range(6)` ends with 5.",
        ),
        Mistake(
            but_one,
            "It is the other way round: this square is shown, and all others are covered.",
        ),
        Mistake(
            lambda *given: losses(*given, compare=lambda before, after: after),
            "These are the probabilities with a square covered. The task asks for what is lost: subtract them.",
        ),
        Mistake(
            lambda *given: losses(*given).abs(),
            "The sign is lost. Where the class becomes more likely, its loss is negative.",
        ),
        Mistake(
            lambda *given: losses(*given).clamp(min=0),
            "Negative losses are cut off. Where the class becomes more likely, its loss is negative.",
        ),
        Mistake(
            lambda *given: losses(*given, compare=lambda before, after: (before - after) / before),
            "It divides by the probability before. The task asks for the difference of the two.",
        ),
        Mistake(
            lambda *given: losses(*given, scale=lambda logits: logits.log_softmax(dim=1)),
            "It compares logarithms of probabilities. The task asks for the probabilities themselves.",
        ),
        Mistake(
            lambda *given: torch.zeros(7, 7),
            "All losses are 0. Does the network see the covered copy? And do the ten probabilities of an image add up "
            "to 1: `dim=1`?",
        ),
        Mistake(
            lambda *given: losses(*given, scale=lambda logits: logits.softmax(dim=0)),
            "The softmax runs along the images. The ten probabilities of an image add up to 1: that is `dim=1`.",
        ),
        *[Mistake(while_training(answer), TRAINING) for answer in (losses, losses_one_by_one)],
        *[
            Mistake(answer, "It watches the digit that the network reads. The task asks for the class `label`.")
            for answer in (
                lambda model, image, label: losses(model, image, int(model(image).argmax())),
                lambda *given: losses(*given, scale=lambda logits: logits.softmax(dim=1).amax(1, True).expand(-1, 10)),
            )
        ],
    ],
)
def covering_losses(model: nn.Sequential, image: Tensor, label: int) -> Tensor:
    """Return how much probability a class loses if a 4 × 4 square is covered with paper, for each of the 7 × 7 squares.

    Shapes: image (1, 1, 28, 28) float → (7, 7).
    """
    return losses(model, image, label)


CLEAR = 1e-3  # a smaller difference of two squared distances is one of rounding, and their order is nobody's fault


def points(random: np.random.Generator) -> tuple[Tensor, int, int]:
    """Draw embedded images, one of them, and how many neighbours are asked for."""
    while True:
        embedded = inputs.normal(random, 40, 6) * torch.tensor([3.0, 1, 1, 1, 1, 1])
        embedded, one = embedded * inputs.normal(random, 40, 1).exp(), int(random.integers(40))
        distances = (embedded - embedded[one]).square().sum(dim=1).sort().values
        if (distances.diff() > CLEAR).all():
            return embedded, one, int(random.integers(3, 6))


def around(one: int, count: int) -> Callable[[], tuple[Tensor, int, int]]:
    """Return what gives points, this one of them, and this number of neighbours."""

    def give() -> tuple[Tensor, int, int]:
        embedded, drawn, _ = points(np.random.default_rng(one))
        embedded[[one, drawn]] = embedded[[drawn, one]]
        return embedded, one, count

    return give


def close_together() -> tuple[Tensor, int, int]:
    """Give points that lie close together, one of them, and how many neighbours are asked for."""
    embedded, one, count = points(np.random.default_rng(0))
    return embedded / 1024, one, count


def far_apart() -> tuple[Tensor, int, int]:
    """Give points that lie far apart, one of them, and how many neighbours are asked for."""
    embedded, one, count = points(np.random.default_rng(0))
    return embedded * 1024, one, count


def similarity(embedded: Tensor, one: int) -> Tensor:
    """Return the cosine of the angle with one of the points."""
    return torch.cosine_similarity(embedded, embedded[one : one + 1])


def without_place(order: Tensor, place: int, count: int) -> Tensor:
    """Return the first ones of a row without what stands at a place."""
    return torch.cat([order[:place], order[place + 1 :]])[:count]


def by_distance(embedded: Tensor, one: int, distance: Tensor, count: int) -> Tensor:
    """Return the nearest others."""
    distance = distance.clone()
    distance[one] = torch.inf
    return distance.argsort()[:count]


@exercise(
    draw=points,
    edges=[around(0, 1), around(39, 4), around(20, 39), close_together, far_apart],
    gaps=[
        Gap(
            lambda embedded, one, count: embedded.abs().max() < 1_000,
            "It goes wrong where all points lie far apart. Does some number stand for the largest distance? "
            "Take torch.inf.",
        ),
        Gap(
            lambda embedded, one, count: embedded.abs().max() > 1,
            "It goes wrong where all points lie close together. Does it take small distances for none?",
        ),
    ],
    notice="Images that lie close together here look alike to the network, whatever their pixels are.",
    hint="The distance of each to the chosen one, in order; the chosen one itself is no neighbour.",
    mistakes=[
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=1).argsort()[:count],
            "The nearest one is the image itself, at distance 0. Leave it out.",
        ),
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=1).argsort(descending=True)[:count],
            "These are the farthest.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(embedded, one, -(embedded @ embedded[one]), count),
            "The largest product with the chosen one favours what is far from the origin. Take the distance.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(embedded, one, (embedded - embedded[one]).abs().sum(dim=1), count),
            "It sums the absolute differences. The distance asked for is the root of the sum of their squares.",
        ),
        Mistake(
            lambda embedded, one, count: (
                (torch.cat([embedded[:one], embedded[one + 1 :]]) - embedded[one]).norm(dim=1).argsort()[:count]
            ),
            "Where the image itself is taken out of the row, all later ones move up by one.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(embedded, one, -similarity(embedded, one), count),
            "It compares directions. Two points in the same direction may lie far apart: take the distance.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(embedded, one, (embedded - embedded[one]).sum(dim=1).abs(), count),
            "The differences cancel before their size is taken. Square each of them first.",
        ),
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=1).sort().values[1 : count + 1],
            "These are the distances. The task asks for the indices of the images.",
        ),
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=1).argsort()[1:count],
            "One is missing: without the image itself, its neighbours end one place further on.",
        ),
        Mistake(
            lambda embedded, one, count: neighbours.solve(embedded, one, count).sort().values,
            "They are the right ones, in the order of their indices. The nearest one comes first.",
        ),
        Mistake(
            lambda embedded, one, count: embedded[neighbours.solve(embedded, one, count)],
            "These are the points themselves. The task asks for their indices.",
        ),
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=1).argsort()[: count + 1],
            "The image itself is still among them, at distance 0. Leave it out.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(embedded, one, (embedded - embedded[one]).abs().amax(1), count),
            "It takes the largest difference of a coordinate. The distance asked for is made of all of them.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(
                embedded, one, ((embedded - embedded[one]) / embedded.std(dim=0)).norm(dim=1), count
            ),
            "Each coordinate has a scale of its own. Take the points as they are.",
        ),
        *[
            Mistake(answer, "These are neighbours of the first image. The task asks for those of image `one`.")
            for answer in (
                lambda embedded, one, count: by_distance(embedded, one, (embedded - embedded[0]).norm(dim=1), count),
                lambda embedded, one, count: by_distance(embedded, 0, (embedded - embedded[0]).norm(dim=1), count),
            )
        ],
        Mistake(
            lambda embedded, one, count: neighbours.solve(embedded, one, len(embedded) - 1)[1 : count + 1],
            "The nearest one is missing: of all in order, only the image itself is left out.",
        ),
        Mistake(
            lambda embedded, one, count: (embedded - embedded[one]).norm(dim=0).argsort()[:count],
            "It sums over the images, so there is one number for each coordinate. Sum over the coordinates: `dim=1`.",
        ),
        Mistake(
            lambda embedded, one, count: without_place((embedded - embedded[one]).norm(dim=1).argsort(), one, count),
            "Something else was taken out: in the order of the distances the image itself stands first.",
        ),
        Mistake(
            lambda embedded, one, count: by_distance(
                embedded, one, (embedded - embedded[one])[:, :2].norm(dim=1), count
            ),
            "It looks at the first two coordinates only. The distance is made of all of them.",
        ),
        Mistake(
            lambda embedded, one, count: neighbours.solve(embedded, one, count).flip(0),
            "They are the right ones. Their order is turned: the nearest one comes first.",
        ),
    ],
)
def neighbours(embedded: Tensor, one: int, count: int) -> Tensor:
    """Return the indices of the `count` others that lie nearest to one.

    Shapes: embedded (N, D) → (count,), nearest first.
    """
    return by_distance(embedded, one, (embedded - embedded[one]).norm(dim=1), count)


def network_layer_digits(
    random: np.random.Generator, layer: str = "", filters: tuple[int, int] = tuple(LAYERS.values())
) -> tuple[nn.Sequential, str, Tensor, Tensor]:
    """Draw a network, one of its layers, and digits with labels by which one filter of the layer does harm."""
    while True:
        model, layer, index, _ = network_and_filter(random, layer, filters)
        images, labels = inputs.float_digits(random, 80)
        with torch.no_grad():
            labels[15:] = model(images[15:]).argmax(dim=1)
            labels[15:60] = with_silence(model, layer, index, images[15:60]).argmax(dim=1)
        if worth_of(model, layer, images, labels).min() < 0:  # else its silence changes nothing that is read
            return model, layer, images, labels


def digits_for(
    layer: str, filters: tuple[int, int] = tuple(LAYERS.values())
) -> Callable[[], tuple[nn.Sequential, str, Tensor, Tensor]]:
    """Return what gives a network with so many filters, this layer, and digits with labels."""
    return lambda: network_layer_digits(np.random.default_rng(0), layer, filters)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of right answers."""
    return (logits.argmax(dim=1) == labels).float().mean()


def confidence_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the probability of each image's label."""
    return logits.softmax(dim=1)[range(len(labels)), labels]


def worth_of(
    model: nn.Sequential,
    layer: str,
    images: Tensor,
    labels: Tensor,
    score: Callable[[Tensor, Tensor], Tensor] = accuracy,
    silent: Callable[..., Tensor] = with_silence,
) -> Tensor:
    """Return what is lost of a score without each filter."""
    before = score(model(images), labels)
    filters = range(model.get_submodule(layer).out_channels)
    return torch.stack([before - score(silent(model, layer, one, images), labels) for one in filters])


def piled(model: nn.Sequential, layer: str, images: Tensor, labels: Tensor, tidy: bool) -> Tensor:
    """Silence one filter after the other and none of them less; take the hooks out at the end, or leave them."""
    before = accuracy(model(images), labels)
    hooks = model.get_submodule(layer)._forward_hooks
    there, filters = list(hooks), range(model.get_submodule(layer).out_channels)
    after = torch.stack([accuracy(left_hook(model, layer, one, images), labels) for one in filters])
    for own in [handle for handle in hooks if tidy and handle not in there]:
        del hooks[own]
    return before - after


def without_each(model: nn.Sequential, layer: str, images: Tensor, labels: Tensor) -> Tensor:
    """Set the weights of one filter after the other to zero, and put none back."""
    before = accuracy(model(images), labels)
    filters = range(model.get_submodule(layer).out_channels)
    return before - torch.stack([accuracy(without_weights(model, layer, one, images), labels) for one in filters])


@exercise(
    draw=network_layer_digits,
    rounds=2,
    edges=[digits_for("conv1"), digits_for("conv2"), digits_for("conv2", filters=(5, 9))],
    notice="The worths do not add up to the accuracy: filters stand in for each other.",
    hint="The accuracy with all filters, minus the accuracy with one of them silent, for each in turn.",
    measure=with_traces,
    mistakes=[
        Mistake(lambda *given: -worth_of(*given), "The sign is turned: a filter that helps has a positive worth."),
        Mistake(lambda *given: worth_of(*given, silent=while_training(with_silence)), TRAINING),
        Mistake(
            lambda model, layer, images, labels: (
                accuracy(model(images), labels) - worth_of(model, layer, images, labels)
            ),
            "These are the accuracies without each filter. Subtract them from the accuracy with all.",
        ),
        Mistake(
            lambda *given: 100 * worth_of(*given),
            "These are percentage points. An accuracy here is a share between 0 and 1.",
        ),
        Mistake(
            lambda model, layer, images, labels: len(labels) * worth_of(model, layer, images, labels),
            "These are counts. Divide by the number of images.",
        ),
        Mistake(
            lambda *given: worth_of(*given).abs(),
            "The sign is lost: without some filters the network reads better.",
        ),
        Mistake(
            lambda *given: worth_of(*given).clamp(min=0),
            "Negative worths are cut off: without some filters the network reads better.",
        ),
        *[
            Mistake(
                answer,
                "The silence piles up: filters that were tried before are still silent when the next one is tried. "
                "After each, the network has to be as it was.",
            )
            for answer in (lambda *given: piled(*given, True), lambda *given: piled(*given, False), without_each)
        ],
        Mistake(
            lambda model, layer, images, labels: (
                worth_of(model, layer, images, labels) / accuracy(model(images), labels)
            ),
            "It divides by the accuracy before. The task asks for the difference of the two.",
        ),
        Mistake(
            lambda *given: -worth_of(*given, score=nn.functional.cross_entropy),
            "This is what the loss gains. The task asks for what the accuracy loses.",
        ),
        Mistake(
            lambda *given: worth_of(*given, score=lambda logits, labels: confidence_of(logits, labels).mean()),
            "It compares probabilities. The task asks for accuracy: the share of images that are read correctly.",
        ),
        Mistake(
            lambda *given: worth_of(*given).argmax(),
            "This is the filter that is worth most. Return the worth of each.",
        ),
        Mistake(
            lambda *given: worth_of(*given)[:-1],
            "The last filter is missing. `out_channels` says how many there are.",
        ),
        Mistake(
            lambda *given: worth_of(*given).index_fill(0, torch.tensor(len(worth_of(*given)) - 1), 0),
            "The last filter is left at 0: it was not silenced. `out_channels` says how many there are.",
        ),
        Mistake(
            lambda model, layer, images, labels: (
                1 - accuracy(model(images), labels) + worth_of(model, layer, images, labels)
            ),
            "It subtracts from 1. Subtract from the accuracy that the network has with all filters.",
        ),
        Mistake(
            lambda model, layer, images, labels: worth_of(model, layer, images, model(images).argmax(dim=1)),
            "It compares with what the network reads itself. What is right is said by `labels`.",
        ),
        Mistake(
            lambda *given: worth_of(*given, silent=kept_bias),
            "The bias still speaks: without its weights a filter answers with its bias everywhere. Silence its output.",
        ),
        Mistake(
            lambda *given: worth_of(*given, silent=all_but),
            "It is the other way round: each filter is the only one that speaks. It should be the only silent one.",
        ),
        Mistake(while_training(worth_of), TRAINING),
        Mistake(
            lambda *given: worth_of(*given).mean(),
            "This is the mean over all filters. Return the worth of each.",
        ),
        Mistake(
            lambda *given: worth_of(*given).sort(descending=True).values,
            "They are sorted, so one does not know any more whose they are. Return them in the order of the filters.",
        ),
    ],
)
def worth(model: nn.Sequential, layer: str, images: Tensor, labels: Tensor) -> Tensor:
    """Return the accuracy (0 … 1) that is lost when each filter of a layer, alone, is silent. Shapes: → (filters,)."""
    return worth_of(model, layer, images, labels)
