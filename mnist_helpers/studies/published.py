"""Published ways to learn the digits, with their own settings, to be timed beside ours.

All take the 60,000 training images. PyTorch's example is run as it runs on a CPU: without shuffling.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from mnist_helpers.architectures import Standardise
from mnist_helpers.data import LabelledImages, to_float
from mnist_helpers.datasets import class_names, read_images
from mnist_helpers.errors import MissingExtraError
from mnist_helpers.evaluation import evaluate
from mnist_helpers.runtime import seed_everything
from mnist_helpers.studies.ladder import OneByOne, synchronise, textbook_network

TARGET = 0.99
TEXTBOOK_EPOCHS = 14  # as published
KERAS_EPOCHS = 10  # as published


@dataclass(frozen=True)
class TimedRun:
    """What one training gave: its seconds, the accuracy (0 … 1) on the test images, and its epochs."""

    seconds: float
    accuracy: float
    epochs: int = 1


def published_training_set() -> LabelledImages:
    """Return all 60,000 training images in the order of their file."""
    images, labels = read_images("mnist", train=True)
    return LabelledImages(images, labels, class_names("mnist"), "mnist")


def until_target(one_epoch: Callable[[], object], score: Callable[[], float], epochs: int) -> TimedRun:
    """Train until 99% of the test images are read correctly, or `epochs` are over; scoring is not timed.

    Looking at the test images after every epoch helps the one who is measured: it stops at the first lucky one.
    """
    seconds, accuracy, done = 0.0, 0.0, 0
    while accuracy < TARGET and done < epochs:
        started = time.perf_counter()
        one_epoch()
        seconds += time.perf_counter() - started
        accuracy, done = score(), done + 1
    return TimedRun(seconds, accuracy, done)


def textbook(train: LabelledImages, test: LabelledImages, device: torch.device, seed: int, epochs: int) -> TimedRun:
    """Train as PyTorch's own MNIST example does: images one by one, Adadelta, the rate times 0.7 an epoch."""
    seed_everything(seed)
    model = textbook_network().to(device)
    learner = model[1:]  # its images come standardised
    loader = DataLoader(OneByOne(train), batch_size=64)
    optimizer = torch.optim.Adadelta(learner.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)

    def one_epoch() -> None:
        learner.train()
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = F.nll_loss(F.log_softmax(learner(images), dim=1), labels)
            loss.backward()
            optimizer.step()
        scheduler.step()
        synchronise(device)

    return until_target(one_epoch, lambda: evaluate(model, test).accuracy, epochs)


def record_network() -> nn.Sequential:
    """Return the network of the published record, 215,194 parameters, with its standardisation first."""
    return nn.Sequential(
        Standardise(),
        nn.Conv2d(1, 24, 5),  # (B, 24, 24, 24)
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3),  # (B, 32, 10, 10)
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),  # (B, 800)
        nn.Linear(800, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def record(
    train: LabelledImages, test: LabelledImages, device: torch.device, seed: int, channels_last: bool = False
) -> TimedRun:
    """Train for one epoch as train_mnist_fast by tuomaso does; its images are standardised before the clock starts."""
    seed_everything(seed)
    model = record_network().to(device)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    train = train.select(torch.randperm(len(train))).to(device)  # in an order that is drawn once, as its author does
    images, labels, size = model[0](to_float(train.images)), train.labels, 256
    learner = model[1:]
    steps = -(-len(labels) // size)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-2, betas=(0.7, 0.9))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, cycle_momentum=False)
    learner.train()
    synchronise(device)
    started = time.perf_counter()
    for start in range(0, len(labels), size):
        optimizer.zero_grad()
        loss = F.nll_loss(F.log_softmax(learner(images[start : start + size]), dim=1), labels[start : start + size])
        loss.backward()
        optimizer.step()
        scheduler.step()
    synchronise(device)
    return TimedRun(time.perf_counter() - started, evaluate(model, test).accuracy)


def published_keras(train: LabelledImages, test: LabelledImages, seed: int, epochs: int) -> TimedRun:
    """Train the published Keras network with Keras itself, on the CPU: Adam, batches of 64.

    Its author is silent on the scale of the images: [0, 1], as in Keras's own example. Three steps come before the
    clock starts, because Keras compiles the network in the first.

    Raises: CourseError if Keras and TensorFlow are not installed.
    """
    model = keras_network(seed)
    images, test_images = (to_float(part.images).permute(0, 2, 3, 1).contiguous().numpy() for part in (train, test))
    labels, test_labels = train.labels.numpy(), test.labels.numpy()
    model.fit(images[:192], labels[:192], batch_size=64, verbose=0)
    return until_target(
        lambda: model.fit(images, labels, batch_size=64, verbose=0),
        lambda: model.evaluate(test_images, test_labels, batch_size=1000, verbose=0)[1],
        epochs,
    )


def keras_network(seed: int = 0) -> Any:
    """Return the published Keras network, 121,930 parameters, ready to train.

    Raises: CourseError if Keras and TensorFlow are not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it greets on stderr
    try:
        import keras
        import tensorflow
    except ImportError as error:
        raise MissingExtraError(f"Keras is not installed ({error})", "bench") from error
    tensorflow.config.set_visible_devices([], "GPU")
    with contextlib.suppress(RuntimeError):  # once it has computed, it keeps the threads it has
        tensorflow.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
    keras.utils.set_random_seed(seed)
    convolutions = [
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
    ]
    dense = [keras.layers.Flatten(), keras.layers.Dense(64, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((28, 28, 1)), *convolutions, *dense])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
