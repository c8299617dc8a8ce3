import copy

import pytest
import torch
from torch import nn

from mnist_helpers import optimizers
from mnist_helpers.models import build_model, count_parameters
from mnist_helpers.optimizers import EigenAdam


def descend(optimizer: torch.optim.Optimizer, loss_of, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()


def two_layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_until_its_first_axes_it_is_torch_s_adamw(weight_decay):
    ours, theirs = two_layers(), two_layers()
    settings = {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": weight_decay}
    inputs, wanted = torch.randn(8, 4), torch.randn(8, 2)
    for model, optimizer in ((ours, EigenAdam), (theirs, torch.optim.AdamW)):
        steps = optimizers.STEPS_TO_NEW_AXES - 1
        descend(optimizer(model.parameters(), **settings), lambda m=model: (m(inputs) - wanted).square().mean(), steps)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_along_its_axes_it_takes_the_same_way_through_a_problem_that_was_turned(monkeypatch):
    """Adam does not: it knows no direction but the parameters' own."""
    monkeypatch.setattr(optimizers, "STEPS_TO_NEW_AXES", 1)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    noise = torch.randn(40, 3, dtype=torch.float64)  # so that gradients point everywhere, as those of batches do
    curved = torch.diag(torch.tensor([100.0, 1.0, 0.01], dtype=torch.float64))

    def ends(make, turned: torch.Tensor) -> torch.Tensor:
        place = nn.Parameter(turned @ torch.ones(3, dtype=torch.float64))
        optimizer = make([place])
        for push in noise:
            straight = turned.T @ place
            optimizer.zero_grad()
            (straight @ curved @ straight / 2 + push @ straight).backward()
            optimizer.step()
        return turned.T @ place.detach()

    eye = torch.eye(3, dtype=torch.float64)
    eigen = lambda parameters: EigenAdam(parameters, lr=0.05, eps=1e-3)  # noqa: E731
    adam = lambda parameters: torch.optim.Adam(parameters, lr=0.05)  # noqa: E731
    torch.testing.assert_close(ends(eigen, turn), ends(eigen, eye), atol=1e-6, rtol=1e-6)
    assert (ends(adam, turn) - ends(adam, eye)).abs().max() > 0.01


def test_down_a_narrow_valley_between_the_parameters_it_arrives_where_adam_is_still_on_its_way():
    """A quadratic valley a thousand times as steep across as along, and at an angle to every parameter."""
    torch.manual_seed(0)
    turn, _ = torch.linalg.qr(torch.randn(20, 20))
    curved = turn @ torch.diag(torch.logspace(0, -3, 20)) @ turn.T

    def left(optimizer_class: type[torch.optim.Optimizer]) -> float:
        place, noise = nn.Parameter(turn.sum(dim=1)), torch.Generator().manual_seed(1)
        optimizer = optimizer_class([place], lr=0.01)

        def loss() -> torch.Tensor:
            # As in a network, the gradients of single batches scatter most where the valley is steep.
            scatter = torch.linalg.cholesky(curved) @ torch.randn(20, generator=noise)
            return place @ curved @ place / 2 + 0.1 * scatter @ place

        descend(optimizer, loss, 600)
        return (place @ curved @ place / 2).item()

    assert left(EigenAdam) < 0.5 * left(torch.optim.Adam)


def test_saved_and_loaded_it_goes_on_bitwise_as_if_nothing_had_happened(tmp_path):
    inputs, wanted = torch.randn(8, 4), torch.randn(8, 2)
    model = two_layers()
    optimizer = EigenAdam(model.parameters(), lr=0.01)
    descend(optimizer, lambda: (model(inputs) - wanted).square().mean(), 150)
    torch.save(optimizer.state_dict(), tmp_path / "state")
    other = copy.deepcopy(model)
    again = EigenAdam(other.parameters(), lr=0.5)
    again.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    descend(optimizer, lambda: (model(inputs) - wanted).square().mean(), 70)
    descend(again, lambda: (other(inputs) - wanted).square().mean(), 70)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_parameter_without_a_gradient_stays_where_it_is():
    used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    descend(EigenAdam([used, unused], lr=0.01), lambda: (used * torch.arange(3)).sum(), 120)
    assert torch.equal(unused.detach(), torch.ones(2))
    assert used[2] < 0.9


def test_gradients_that_are_no_numbers_are_not_its_business():
    """Training looks at the losses, and says where they stopped being numbers."""
    place = nn.Parameter(torch.ones(3))
    descend(EigenAdam([place], lr=0.01), lambda: (place * torch.nan).sum(), 101)
    assert place.isnan().all()


def test_a_network_with_too_many_parameters_is_refused_with_their_number():
    model = build_model("two-conv")
    with pytest.raises(ValueError, match=f"{count_parameters(model):,} are too many"):
        EigenAdam(model.parameters(), lr=0.01)


def test_a_closure_computes_the_gradients_and_its_loss_comes_back():
    model, inputs = two_layers(), torch.randn(8, 4)
    optimizer, before = EigenAdam(model.parameters(), lr=0.01), [one.detach().clone() for one in model.parameters()]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(inputs).square().mean()
        loss.backward()
        return loss

    first, second = optimizer.step(closure), optimizer.step(closure)
    assert second < first
    assert not any(torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))
