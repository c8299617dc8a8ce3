"""Training on a CUDA GPU without Python in its way: one step is captured as a graph, and training is its replays.

A step of `fastest-99` starts many kernels, and most compute for less time than Python takes to start one. A graph
starts them all at once. Whatever is captured must keep three rules: tensors stay where they are in memory; the host
reads nothing; what differs from step to step (images, rate, random numbers) is found on the device.

Source: NVIDIA's CUDA graphs, as torch.cuda.graph captures them.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnist_helpers.augmentation import AUGMENTATIONS
from mnist_helpers.data import LabelledImages, to_float
from mnist_helpers.distributed import processes
from mnist_helpers.errors import CourseError
from mnist_helpers.recipes import Recipe, make_optimizer
from mnist_helpers.runtime import autocast, seed_everything
from mnist_helpers.training import TrainingError

WARM_UP = 3  # steps before a capture, in which libraries choose their algorithms and take their memory


class GraphedTraining:
    """Train one network after a recipe, as often as wanted, each time from fresh weights and another seed.

    Like `fit`'s loop it leaves the last, smaller batch out. Unlike it, it draws order and augmentation on the device,
    keeps the last epoch's weights, and validates nothing. Without a GPU the same steps run one by one: slower, and to
    the same end, which is how they are tested. `preparation` is the seconds of warming up and capturing.

    Raises: CourseError under torchrun with several processes: their exchange is not captured.
    """

    def __init__(self, build: Callable[[], nn.Module], train: LabelledImages, recipe: Recipe) -> None:
        if processes() > 1:
            raise CourseError("A graph is trained by one process. Start it without torchrun.")
        started = time.perf_counter()
        self.build, self.train, self.recipe = build, train, recipe
        self.device = train.labels.device
        self.batch_size = min(recipe.batch_size, len(train))
        self.batches = len(train) // self.batch_size
        self.model = build().to(self.device)
        self.rates = self._rates().to(self.device)
        # All that a step reads or writes beside the network: it must keep its place.
        self.step_number = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.order = torch.arange(self.batches * self.batch_size, device=self.device).view(self.batches, -1)
        self.losses = torch.zeros(len(self.rates), device=self.device)
        self.generator = torch.Generator(self.device)
        self.optimizer = self._optimizer()
        self.graph = self._capture() if self.device.type == "cuda" else None
        self.preparation = time.perf_counter() - started

    def run(self, seed: int) -> float:
        """Train from fresh weights; return the seconds from the first step to the end of the last.

        Raises: TrainingError if a loss is not a number.
        """
        self._begin(seed)
        self._wait()
        started = time.perf_counter()
        for _ in range(self.recipe.epochs):
            self._shuffle()
            for _ in range(self.batches):
                self.graph.replay() if self.graph else self._step()
        self._wait()
        seconds = time.perf_counter() - started
        if not torch.isfinite(self.losses).all():
            raise TrainingError(f"The loss stopped being a number with seed {seed}. Try a smaller learning rate.")
        return seconds

    def _rates(self) -> Tensor:
        """Return the learning rate of every step, as the recipe's scheduler gives them."""
        optimizer, scheduler = make_optimizer(nn.Linear(1, 1), self.recipe, self.recipe.epochs * self.batches)
        rates = []
        for _ in range(self.recipe.epochs * self.batches):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return torch.tensor(rates)

    def _optimizer(self) -> torch.optim.Optimizer:
        recipe, on_gpu = self.recipe, self.device.type == "cuda"
        return torch.optim.AdamW(
            self.model.parameters(), torch.tensor(recipe.lr, device=self.device), (recipe.beta1, recipe.beta2),
            weight_decay=recipe.weight_decay, fused=True, capturable=on_gpu,
        )  # fmt: skip

    def _step(self) -> None:
        """Take one step; this is what is captured."""
        chosen = self.order.index_select(0, self.step_number % self.batches)[0]
        images, labels = to_float(self.train.images[chosen]), self.train.labels[chosen]
        if self.recipe.augment:
            images = AUGMENTATIONS[self.recipe.augment](images, self.generator)
        with autocast(self.device, self.recipe.bfloat16):
            logits = self.model(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.param_groups[0]["lr"].copy_(self.rates.index_select(0, self.step_number)[0])
        self.optimizer.step()
        self.losses.index_copy_(0, self.step_number, loss.detach()[None])
        self.step_number += 1

    def _capture(self) -> torch.cuda.CUDAGraph:
        self.model.train()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(min(WARM_UP, len(self.rates))):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad()  # the graph gives the gradients a place of its own
        self.step_number.zero_()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            self._step()
        graph.replay()  # the first time it is brought onto the GPU
        return graph

    @torch.no_grad()
    def _begin(self, seed: int) -> None:
        """Make all as it is before a training: fresh weights, an optimizer without memory, new random numbers."""
        seed_everything(seed)
        for name, tensor in self.build().state_dict().items():
            self.model.state_dict()[name].copy_(tensor)
        for state in self.optimizer.state.values():
            for tensor in state.values():
                tensor.zero_()
        self.generator.manual_seed(seed)
        self.step_number.zero_()
        self.model.train()

    def _shuffle(self) -> None:
        drawn = torch.randperm(len(self.train), generator=self.generator, device=self.device)
        self.order.copy_(drawn[: self.order.numel()].view_as(self.order))

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
