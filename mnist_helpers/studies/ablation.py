"""What each part of `most-accurate` is worth: trained with one part left out or exchanged, all else as it was."""

import statistics
from collections import OrderedDict
from dataclasses import replace

import torch
from torch import nn

from mnist_helpers.recipes import Recipe, get_recipe
from mnist_helpers.runtime import shipped
from mnist_helpers.studies.variants import Variant, VariantScore, mean_mistakes, network_of

RECORD = shipped("docs/ablation.csv")  # the whole study
WHOLE = "most-accurate"
EPOCHS = 15


def variants() -> list[Variant]:
    """Return the recipe as it is, then without each of its parts, then with what was tried and left out."""
    whole = replace(get_recipe(WHOLE), epochs=EPOCHS)
    lower = whole.lr / 4  # what training bears without normalisation, or with a rate that stays high
    return [
        Variant(WHOLE, whole),
        Variant("no augmentation", replace(whole, augment=None)),
        Variant("turned, moved, resized only", replace(whole, augment="affine")),
        Variant("not bent", replace(whole, augment="slanted")),
        Variant("no batch normalisation, a quarter of the rate", replace(whole, lr=lower), without_normalisation),
        Variant("the rate held, at a quarter", replace(whole, schedule="constant", lr=lower)),
        Variant("no dropout", replace(whole, dropout=0.0)),
        Variant("labels not smoothed", replace(whole, label_smoothing=0.0)),
        Variant("no weight decay", replace(whole, weight_decay=0.0)),
        Variant("32-bit numbers", replace(whole, bfloat16=False)),
        Variant("the network of vgg", replace(whole, architecture="vgg")),
        Variant("weights averaged", whole, averaged=True),
    ]


def without_normalisation(recipe: Recipe) -> nn.Sequential:
    """Build a recipe's network without batch normalisation; each convolution before one gets a bias in its place."""
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in network_of(recipe).named_children():
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            layer = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, padding=layer.padding)
        if not isinstance(layer, nn.BatchNorm2d):
            layers.append((name, layer))
    return nn.Sequential(OrderedDict(layers)).to(memory_format=torch.channels_last)


def table(found: list[VariantScore]) -> str:
    """Lay out the record as a table, the best first: mistakes in 100 images, their spread, and their share."""
    changes = by_mistakes(found)
    width = max(map(len, changes))
    lines = [f"{'':{width}} {'runs':>5} {'mistakes in 100 images':>23} {'× the recipe':>13}"]
    for change in changes:
        runs = [one for one in found if one.variant == change]
        mistakes = [one.mistakes for one in runs]
        spread = f" ± {statistics.stdev(mistakes):.2f}" if len(runs) > 1 else ""
        mean = statistics.mean(mistakes)
        share = mean / mean_mistakes(found, WHOLE)
        lines.append(f"{change:{width}} {len(runs):5} {f'{mean:.2f}{spread}':>23} {share:13.2f}")
    return "\n".join(lines)


def by_mistakes(found: list[VariantScore]) -> list[str]:
    """Return the changes, the one with the fewest mistakes first."""
    return sorted({one.variant for one in found}, key=lambda change: mean_mistakes(found, change))
