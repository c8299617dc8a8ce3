"""Commands that train many networks: all published systems again, and the search for a better one."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mnist_helpers.commands.terminal import say
from mnist_helpers.data import load_part
from mnist_helpers.errors import UsageError
from mnist_helpers.recipes import MOST_EPOCHS, get_recipe
from mnist_helpers.runtime import ROOT, artifacts_folder, check_folder, pick_device, whole_file
from mnist_helpers.studies import reproduction
from mnist_helpers.studies.variants import Variant, VariantScore, train_variants, write
from mnist_helpers.training import History

PAGE = ROOT / "docs" / "reproduction.md"
SPEED_PAGE = ROOT / "docs" / "speed.md"
GPU_PAGE = ROOT / "docs" / "speed-gpu.md"
ROBUSTNESS = ROOT / "docs" / "robustness.md"
ABLATION = ROOT / "docs" / "ablation.csv"
SIZES = ROOT / "docs" / "sizes.csv"
WHOLE_BENCH, WHOLE_ABLATION, WHOLE_SIZES = 30, 3, 5  # seeds


def reproduce(
    recipes: Annotated[str, typer.Option(help='which ones: "keras-csv vgg"; all but handwriting if empty')] = "",
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each")] = reproduction.LEAST_SEEDS,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    train_limit: Annotated[int | None, typer.Option(min=12, help="training images, for a trial run")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="keep what an interrupted run has finished")] = False,
) -> None:
    """Train the published systems and ours; print claimed beside found, and write docs/reproduction.md.

    The committed page is written by a run of all of them with at least 3 seeds; any other run writes its page to
    artifacts/reproduction/.
    """
    names = _named(recipes, reproduction.DEFAULT)
    pick_device(device)
    folder = artifacts_folder() / "reproduction"
    whole = set(names) >= set(reproduction.DEFAULT) and seeds >= reproduction.LEAST_SEEDS and train_limit is None
    path = PAGE if whole else folder / "reproduction.md"
    check_folder(path.parent)
    results = []
    for name in names:

        def tell(seed: int, history: History, name: str = name) -> None:
            last = history.epochs[-1]
            say(f"{name}, seed {seed}, epoch {last.epoch}: validation accuracy {last.val_accuracy:.2%}", err=True)

        results.append(reproduction.reproduce(name, seeds, folder / name, device, resume, train_limit, tell))
    say(reproduction.table(results))
    with whole_file(path) as temporary:
        temporary.write_text(reproduction.page(results, device), encoding="utf-8")
    say(f"\nWritten to {path}")


def search(
    study: Annotated[str, typer.Option(help="file of the study, or the address of a database")],
    trials: Annotated[int, typer.Option(min=1, help="stop when so many have finished, by all processes")] = 60,
    epochs: Annotated[int, typer.Option(min=1, max=MOST_EPOCHS, help="of each trial")] = 4,
    train_limit: Annotated[int, typer.Option(min=100, max=55_000, help="training images of each trial")] = 20_000,
    dataset: str = "mnist",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
) -> None:
    """Search for the network of keras-tuned; start it several times on one study and they share the work."""
    from mnist_helpers.studies import search as searching

    pick_device(device)
    load_part(dataset, "train", train_limit)  # a study must not begin with images that are not to be had
    settings = {"dataset": dataset, "train_limit": train_limit, "epochs": epochs, "seed": seed}
    opened = searching.open_study(study, settings)
    searching.search(opened, trials, device, say)
    say(searching.summary(opened))


def robustness(
    recipes: Annotated[str, typer.Option(help='which ones: "keras-csv vgg"; all if empty')] = "",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    train_limit: Annotated[int | None, typer.Option(min=12, help="training images, for a trial run")] = None,
) -> None:
    """Score the network of each recipe on spoiled test images, and write docs/robustness.md.

    What `reproduce` or an earlier run has trained is not trained again. The committed page is written by a run of all
    recipes; any other run writes its page to artifacts/.
    """
    from mnist_helpers.studies import robustness as spoiling

    names = _named(recipes, spoiling.DEFAULT)
    pick_device(device)
    whole = set(names) >= set(spoiling.DEFAULT) and train_limit is None
    path = ROBUSTNESS if whole else artifacts_folder() / "robustness.md"
    check_folder(path.parent)
    folder = artifacts_folder() / ("reproduction" if train_limit is None else f"robustness-{train_limit}")
    found = spoiling.measure(names, folder, device, train_limit, _say)
    with whole_file(path) as temporary:
        temporary.write_text(spoiling.page(found, device), encoding="utf-8")
    say(spoiling.table(found))
    say(f"\nWritten to {path}")


def ablate(
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each variant")] = WHOLE_ABLATION,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="keep what an interrupted run has finished")] = False,
) -> None:
    """Train most-accurate without each of its parts, count the mistakes, and write docs/ablation.csv.

    The committed record is written by a run with at least 3 seeds; one with fewer only writes to artifacts/.
    """
    from mnist_helpers.studies import ablation

    whole = ABLATION if seeds >= WHOLE_ABLATION else None
    _compare(ablation.variants(), "ablation.csv", whole, ablation.table, seeds, device, resume)


def sizes(
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each size")] = WHOLE_SIZES,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="keep what an interrupted run has finished")] = False,
) -> None:
    """Train networks of some 300 parameters to 300,000, count the mistakes, and write docs/sizes.csv.

    The committed record is written by a run with at least 5 seeds; one with fewer only writes to artifacts/.
    """
    from mnist_helpers.studies import sizes as growing

    whole = SIZES if seeds >= WHOLE_SIZES else None
    _compare(growing.variants(), "sizes.csv", whole, growing.table, seeds, device, resume)


def _compare(
    variants: list[Variant],
    name: str,
    whole: Path | None,
    table: Callable[[list[VariantScore]], str],
    seeds: int,
    device: str,
    resume: bool,
) -> None:
    """Train variants; the record grows in artifacts/, and a `whole` one goes where it is committed, too."""
    pick_device(device)
    record = artifacts_folder() / name
    path = whole or record
    check_folder(record.parent), check_folder(path.parent)
    found = train_variants(variants, record, seeds, device, resume, lambda line: say(line, err=True))
    write(path, found)
    say(table(found))
    say(f"\nWritten to {path}")


def bench(
    seeds: Annotated[int, typer.Option(min=1, help="trainings of what takes less than ten seconds")] = WHOLE_BENCH,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu")] = "auto",
) -> None:
    """Time published ways to 99% and ours side by side, and write docs/speed.md.

    The committed page is written by a run with at least 30 seeds; one with fewer writes its page to artifacts/.
    """
    from mnist_helpers.studies import crowd, speed  # with torchvision, which takes seconds

    pick_device(device)
    path = SPEED_PAGE if seeds >= WHOLE_BENCH else artifacts_folder() / "speed.md"
    check_folder(path.parent)
    record, ours = speed.race(device, seeds, _say)
    published = speed.time_published_apart(device, seeds, _say)
    longer = speed.train_to_99_5(device, seeds, _say)
    ladder = speed.climb_ladder(device, seeds, _say)
    text = speed.page([record, *published, ours], longer, ladder, crowd.measure(), device)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(text)
    say(f"Written to {path}")


def gpu(
    pretend: Annotated[bool, typer.Option("--pretend", help="try every part on the CPU, with few images")] = False,
) -> None:
    """Measure training on a CUDA GPU, and write docs/speed-gpu.md; a run that was cut off goes on.

    It needs no network and only the torch at hand. With --pretend the page goes to artifacts/.
    """
    from mnist_helpers.studies import speed_gpu as measuring

    device = pick_device("cpu" if pretend else "cuda")
    record = measuring.Measurements(
        artifacts_folder() / f"speed-gpu-{device.type}.jsonl", measuring.machine(device), _say
    )
    extent = measuring.PRETENDED if pretend else measuring.WHOLE
    path = artifacts_folder() / "speed-gpu.md" if pretend else GPU_PAGE
    check_folder(record.path.parent), check_folder(path.parent)
    say(measuring.measure(record, device, extent, path))
    say(f"Written to {path}")


def _say(line: str) -> None:
    say(line, err=True)


def _named(recipes: str, default: tuple[str, ...]) -> list[str]:
    """Return the recipes that an option names, or those that are usual; refuse what is none."""
    names = recipes.replace(",", " ").split() if recipes else list(default)
    if not names:
        raise UsageError(f"--recipes {recipes!r} names none. Leave it out for all of them.")
    for name in names:
        get_recipe(name)
    return names
