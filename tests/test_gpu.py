"""The same work on the CPU and on a CUDA GPU. Run with `make test` on a machine that has one.

Where there is none, `tests/test_pretended.py` runs these on a pretended one.
"""

from dataclasses import replace

import pytest
import torch

from mnist_helpers import inspection
from mnist_helpers.augmentation import AUGMENTATIONS, random_affine
from mnist_helpers.checkpoints import load_model
from mnist_helpers.data import load_part, to_float
from mnist_helpers.evaluation import evaluate, predict_logits, steady_probabilities
from mnist_helpers.exporting import export_onnx, for_web
from mnist_helpers.models import build_model
from mnist_helpers.numbers import CRNN, fit_numbers, number_logits, write_numbers
from mnist_helpers.recipes import get_recipe
from mnist_helpers.runtime import (
    ROOT,
    environment_report,
    pick_device,
    random_states,
    restore_random_states,
    seed_everything,
)
from mnist_helpers.studies import ladder
from mnist_helpers.studies.cuda_graphs import GraphedTraining
from mnist_helpers.training import fit, make_loader

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU"),
]
CUDA = torch.device("cuda")
SHIPPED = ROOT / "pretrained" / "mnist" / "walkthrough"
ONE = {"points": [[0.5, 0.15], [0.5, 0.5], [0.5, 0.85]], "width": 0.08}
# bfloat16 keeps 8 bits of a number, so logits of up to 20 may differ in their first decimal.
BFLOAT16 = {"atol": 0.25, "rtol": 0.05}


def test_auto_takes_the_gpu():
    assert pick_device("auto").type == "cuda"


def test_the_same_weights_give_the_same_logits_within_bfloat16(val):
    on_cpu = predict_logits(load_model(SHIPPED, "cpu")[0], val.images)
    on_gpu = predict_logits(load_model(SHIPPED, "cuda")[0], val.images)
    torch.testing.assert_close(on_gpu, on_cpu, **BFLOAT16)
    assert (on_gpu.argmax(dim=1) == on_cpu.argmax(dim=1)).float().mean() > 0.99


def test_augmentation_draws_the_same_variants(train):
    images = to_float(train.images[:16])
    on_cpu = random_affine(images, torch.Generator().manual_seed(1))
    on_gpu = random_affine(images.cuda(), torch.Generator().manual_seed(1))
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-3, rtol=0)


def test_training_reaches_the_same_accuracy_band():
    train, val = load_part("mnist", "train"), load_part("mnist", "validation")
    recipe = replace(get_recipe("walkthrough"), epochs=1)
    accuracy = {}
    for device in ("cpu", "cuda"):
        seed_everything(0)
        model = build_model(recipe.architecture, recipe.dropout)
        fit(model, train, val, recipe, seed=0, device=device)
        accuracy[device] = evaluate(model, val).accuracy
    assert min(accuracy.values()) > 0.98
    assert abs(accuracy["cpu"] - accuracy["cuda"]) < 0.005


def test_an_interrupted_training_resumes_to_bitwise_the_same_weights(tmp_path, train, val, recipe):
    def interrupt(history):
        raise KeyboardInterrupt

    recipe = replace(recipe, epochs=3, augment="affine")
    models = {}
    for name in ("whole", "interrupted"):
        seed_everything(0)
        models[name] = build_model("two-conv", 0.3)
        folder = tmp_path / name
        if name == "interrupted":
            with pytest.raises(KeyboardInterrupt):
                fit(models[name], train, val, recipe, device="cuda", folder=folder, on_epoch=interrupt)
        fit(models[name], train, val, recipe, device="cuda", folder=folder, resume=True)
    for name, tensor in models["whole"].state_dict().items():
        assert torch.equal(tensor, models["interrupted"].state_dict()[name]), name


def test_a_graph_ends_in_the_weights_of_its_steps_one_by_one_bit_for_bit(train):
    recipe = replace(get_recipe("most-accurate"), epochs=2, batch_size=64)
    training = GraphedTraining(lambda: build_model(recipe.architecture, recipe.dropout), train.to(CUDA), recipe)
    training.run(seed=1)
    replayed = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    training.graph = None
    training.run(seed=1)
    for name, tensor in training.model.state_dict().items():
        assert torch.equal(tensor, replayed[name]), name


def test_inspection_works_on_the_gpu(val):
    model = load_model(SHIPPED, "cuda")[0]
    few = val.select(torch.arange(50))
    lost = inspection.ablate(model, few, "relu1").loss
    assert lost.shape == (32,)
    assert torch.equal(lost, inspection.ablate(model, few.to(CUDA), "relu1").loss)  # wherever the labels lie
    assert inspection.top_patches(model, few.images, "relu2", 3, count=4).shape == (4, 1, 8, 8)
    assert inspection.saliency(model, to_float(few.images[0]), 3).device.type == "cpu"
    assert inspection.grow_input(model, "conv2", 3, steps=3).shape == (28, 28)


@pytest.mark.parametrize("augment", list(AUGMENTATIONS))
def test_augmentation_draws_where_the_images_lie(train, augment):
    recipe = replace(get_recipe("walkthrough"), augment=augment, batch_size=64)
    loader = make_loader(train.to(CUDA), recipe, seed=3)
    assert loader.augmenting.device.type == "cuda"
    images, labels = next(iter(loader))
    assert images.device == labels.device == loader.labelled.images.device
    assert torch.equal(images, next(iter(make_loader(train.to(CUDA), recipe, seed=3)))[0])


def test_a_network_trained_on_the_gpu_is_read_on_the_cpu_and_the_other_way_round(tmp_path, train, val, recipe):
    model = build_model("two-conv", 0.3)
    fit(model, train, val, recipe, device="cuda", folder=tmp_path)
    on_cpu, _ = load_model(tmp_path, "cpu")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.cpu(), on_cpu.state_dict()[name])
    on_gpu, _ = load_model(tmp_path, "cuda")
    assert evaluate(on_gpu, val.to(CUDA)) == evaluate(model, val)


def test_numbers_are_learned_and_read_on_the_gpu(train, val):
    some, model = write_numbers(val, 40, seed=0), CRNN(channels=4, hidden=8)
    history = fit_numbers(model, train, some, epochs=2, count=320, batch_size=32, device="cuda")
    assert history[1].train_loss < history[0].train_loss
    on_gpu, on_cpu = (number_logits(model.to(device), some.images) for device in ("cuda", "cpu"))
    torch.testing.assert_close(on_gpu, on_cpu, **BFLOAT16)


def test_pictures_and_neighbours_are_read_on_the_gpu(val):
    model = load_model(SHIPPED, "cuda")[0]
    digits = val.images[:20]
    assert steady_probabilities(model, digits).argmax(dim=1).eq(val.labels[:20]).float().mean() > 0.9
    nearest = inspection.Neighbours(model, val).of(val.images[3])
    assert torch.equal(nearest.images[0], val.images[3])
    assert inspection.lit_maps(model, val.images[0])["relu1"].dtype == torch.uint8
    assert inspection.occlusion(model, to_float(digits[0]), 3).device.type == "cpu"


def test_the_ladder_is_climbed_on_the_gpu(train):
    for rung in ladder.rungs():
        assert ladder.climb(rung, train.select(torch.arange(130)), device="cuda").whole


def test_what_a_run_says_it_ran_on_is_what_it_ran_on():
    assert torch.cuda.get_device_name() in environment_report("cuda")
    assert torch.cuda.get_device_name() not in environment_report("cpu")
    assert "CPU," in environment_report("cpu")


def test_random_numbers_are_taken_from_and_given_back_to_the_device_itself():
    states = random_states(CUDA)
    drawn = torch.rand(3, device=CUDA)
    restore_random_states(states, CUDA)
    assert torch.equal(drawn, torch.rand(3, device=CUDA))


def test_a_network_on_the_gpu_is_exported_as_from_the_cpu():
    on_cpu, card = load_model(SHIPPED, "cpu")
    on_gpu, _ = load_model(SHIPPED, "cuda")
    assert for_web(on_gpu, card.classes) == for_web(on_cpu, card.classes)
    assert next(on_gpu.parameters()).is_cuda  # a copy was exported


def test_a_network_on_the_gpu_is_written_as_onnx(tmp_path):
    for package in ("onnxruntime", "onnxscript"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    assert export_onnx(load_model(SHIPPED, "cuda")[0], tmp_path / "network.onnx") < 1e-3


def test_the_pad_reads_with_a_network_on_the_gpu(val):
    pad = pytest.importorskip("mnist_helpers.widgets.pad", reason="the widgets' packages are not installed")
    model, card = load_model(SHIPPED, "cuda")
    one = pad.DrawingPad(model, tuple(card.classes), val)
    one.drawing = {"number": 1, "strokes": [ONE], "lifted": True}
    assert one.answer["reading"].startswith("1")
