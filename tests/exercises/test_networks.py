"""What is seen of a network from outside."""

import pytest
import torch
from torch import nn

from mnist_helpers.checks.networks import looked_into, own_copy

IMAGES = torch.linspace(-1, 1, 2 * 784).reshape(2, 1, 28, 28)
BIG = torch.full((10, 784), 0.01)


class With(nn.Module):
    """A layer of 110 numbers behind what is given."""

    def __init__(self, before):
        super().__init__()
        self.before, self.out = before, nn.Linear(10, 10)

    def forward(self, images):
        return self.out(self.before(images))


@pytest.mark.parametrize(
    ("before", "numbers"),
    [
        (lambda images: images.flatten(1)[:, :10], 0),
        (lambda images: images.flatten(1) @ BIG.T, 7840),  # and its transposed view is no more
        (lambda images: images.flatten(1) @ torch.zeros(784, 10), 0),  # made on the spot
        (lambda images: images.flatten(1) @ BIG.T + images.flatten(1) @ BIG[:, :784].T, 7840),  # counted once
        (lambda images: images.flatten(1)[:, :10] * torch.ones(1).expand(10), 0),
        (lambda images: images.flatten(1) @ torch.from_numpy(BIG.numpy()).T, 7840),
        (lambda images: (images.flatten(1)[:, :10] - 0.1307) / 0.3081, 0),
    ],
)
def test_every_number_that_is_read_counts_once_wherever_it_is_kept(before, numbers):
    assert looked_into(With(before), IMAGES)["numbers"] == 110 + numbers


def test_a_weight_that_is_not_named_is_found_in_lists_tuples_and_closures():
    layer = nn.Linear(784, 10)
    found = looked_into(With(lambda images: [(layer,)][0][0](images.flatten(1))), IMAGES)
    assert found["hidden"]
    assert found["numbers"] == 110 + 7850
    assert not looked_into(With(nn.Sequential(nn.Flatten(), layer)), IMAGES)["hidden"]


def test_buffers_count_and_weights_that_are_not_used():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(2704, 10)).eval()
    assert looked_into(model, IMAGES)["numbers"] == 40 + 8 + 8 + 27050
    aside = With(lambda images: images.flatten(1)[:, :10])
    aside.unused = nn.Linear(2, 3)
    assert looked_into(aside, IMAGES)["numbers"] == 110 + 9


def test_a_convolution_counts_only_on_the_way_to_the_logits():
    conv = nn.Conv2d(1, 1, 19)
    assert looked_into(With(lambda images: conv(images).flatten(1)[:, :10]), IMAGES)["convolves"]

    def aside(images):
        conv(images)
        return images.flatten(1)[:, :10]

    assert not looked_into(With(aside), IMAGES)["convolves"]


class By(nn.Module):
    """A network that is one function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_what_leaves_torch_has_no_way_back():
    def by_numpy(images):
        return torch.from_numpy(images.detach().flatten(1).numpy()[:, :10].copy())

    assert not looked_into(By(by_numpy), IMAGES)["learns"]
    assert looked_into(With(by_numpy), IMAGES)["learns"]


def test_a_copy_is_of_its_own_where_there_can_be_one():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    copied = own_copy(model)
    assert model.training
    assert not copied.training
    assert copied[0].weight is not model[0].weight
    model.last = model[0](torch.ones(2))  # on the way of a gradient: cannot be copied
    assert own_copy(model) is model
