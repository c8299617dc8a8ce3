"""An optimizer for networks so small that what their gradients have in common can be written down whole."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

MOST_PARAMETERS = 4_000  # the matrix holds the square of that, 64 MB, and its axes take seconds to find
STEPS_TO_NEW_AXES = 100
KEPT_OF_MATRIX = 0.995  # a step


class EigenAdam(Optimizer):
    """Adam along the axes in which gradients vary by themselves, in place of along the parameters.

    Adam divides each parameter's step by the size of that parameter's gradients, as if no two had anything to do with
    each other. Here the second moments of all pairs are kept, an N × N matrix; its eigenvectors are the axes, and Adam
    works along them. Every hundred steps they are found anew, and the squares begin with their eigenvalues; before the
    first time this is Adam itself. Weight decay is decoupled, as in AdamW.

    Source: full-matrix AdaGrad (Duchi, Hazan and Singer, 2011) with the memory of Adam (Kingma and Ba, 2015), and axes
    kept for many steps, as in SOAP (Vyas and others, 2024), which has a matrix for each side of each layer's weights.
    Raises: ValueError for more than 4,000 parameters.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": eps})
        count = sum(parameter.numel() for parameter in self._parameters)
        if count > MOST_PARAMETERS:
            raise ValueError(
                f"EigenAdam keeps a number for each pair of parameters, and {count:,} are too many for that: at most "
                f"{MOST_PARAMETERS:,}. Use torch.optim.AdamW."
            )

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Change all parameters once, by their gradients; those without one count as having 0.

        A `closure` is called before; it computes the gradients, and the loss that is returned.
        """
        with torch.enable_grad():
            loss = closure() if closure else None
        parameters, (group, *_) = self._parameters, self.param_groups
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        moved = self._moved(torch.cat([gradient.flatten() for gradient in gradients]), *group["betas"], group["eps"])
        for parameter, by in zip(parameters, moved.split([one.numel() for one in parameters]), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(by.view_as(parameter), alpha=group["lr"])
        return loss

    def _moved(self, gradient: Tensor, beta1: float, beta2: float, eps: float) -> Tensor:
        """Return by how much each parameter moves, at a learning rate of 1. Shapes: (N,) → (N,)."""
        state = self.state[self._parameters[0]]  # one for all, kept where torch saves and loads it
        if not state:
            size = len(gradient)
            state |= {"step": torch.tensor(0.0), "mean": torch.zeros_like(gradient), "axes": gradient.new_empty(0)}
            state |= {"squares": torch.zeros_like(gradient), "matrix": gradient.new_zeros(size, size)}
        state["step"] += 1
        step = int(state["step"])
        state["mean"].lerp_(gradient, 1 - beta1)
        state["matrix"].mul_(KEPT_OF_MATRIX).addr_(gradient, gradient, alpha=1 - KEPT_OF_MATRIX)
        if step % STEPS_TO_NEW_AXES == 0 and state["matrix"].isfinite().all():  # else training says that it failed
            # On the CPU: Apple's MPS has no eigh.
            squares, axes = torch.linalg.eigh(state["matrix"].cpu() / (1 - KEPT_OF_MATRIX**step))
            state["squares"], state["axes"] = squares.clamp(min=0).to(gradient.device), axes.to(gradient.device)
        mean = state["mean"] / (1 - beta1**step)
        if not len(state["axes"]):
            state["squares"].lerp_(gradient**2, 1 - beta2)
            return mean / ((state["squares"] / (1 - beta2**step)).sqrt() + eps)
        state["squares"].lerp_((gradient @ state["axes"]) ** 2, 1 - beta2)
        return state["axes"] @ (mean @ state["axes"] / (state["squares"].sqrt() + eps))
