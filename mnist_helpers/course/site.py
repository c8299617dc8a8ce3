"""The course as a web site: its pages with the outputs that were committed, and nothing run. Sphinx does the rest."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib.util import find_spec
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from mnist_helpers.course.runner import BUILD, SOURCES, as_text, copy_drawings, find_notebooks, read_notebook
from mnist_helpers.course.stripping import without_outputs, without_solutions
from mnist_helpers.errors import CourseError, MissingExtraError, UsageError
from mnist_helpers.pages import REPORT_MIME
from mnist_helpers.runtime import ROOT, check_folder

SITE = BUILD / "site"
SIGN = ".buildinfo"  # a file that Sphinx writes into each site
FRAME = ROOT / "docs" / "site"  # Sphinx's settings, the first page, the style
DOCUMENTS = ROOT / "docs"
EXERCISES = SOURCES / "exercises"
LIVE = re.compile(r"^(?:GlassBox|TrainingBox)\(", re.MULTILINE)  # a cell that shows what the site has live
STILL = "still-on-the-site"  # tag of a cell whose text is about this very network, and the site has another one
GLOSSARY_PLACE = re.compile(r"\[(\d · ([^\]]+))\]\((\.\./notebooks/\w+\.ipynb)\)")
MODULE = re.compile(r"^[a-z_.]+$", re.MULTILINE)  # a line of the reference's list of pages


def check_place(target: Path) -> None:
    """See that a site may be written into a folder, before long work is done for it.

    Raises: OSError with the name of the folder if nothing can be written there; UsageError if it holds something
    else than a site, which would be lost.
    """
    check_folder(target)
    if any(target.iterdir()) and not (target / SIGN).is_file():
        raise UsageError(
            f"{target} holds other files than a site's, and a site takes the place of all. Name a new folder."
        )


def build_site(glass_box: Path, target: Path = SITE) -> None:
    """Write the web site into a folder, which it takes the place of. `glass_box` is the page of a live network.

    Raises: MissingExtraError without Sphinx; CourseError if Sphinx finds fault with a page or a link; and what
    `check_place` raises.
    """
    check_place(target)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "source", Path(folder) / "site"
        done = _sphinx("html", source, made, glass_box)
        if done.returncode:
            raise CourseError(f"Sphinx did not make the site:\n{done.stderr.replace(f'{source}/', '').strip()}")
        shutil.rmtree(made / ".doctrees")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)


def dead_links(glass_box: Path) -> list[str]:
    """Follow the site's links to other hosts, and return those that lead nowhere, each with its page and the reason.

    Raises: MissingExtraError without Sphinx; CourseError if it did not come to its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "source", Path(folder) / "links"
        done = _sphinx("linkcheck", source, made, glass_box)
        record = made / "output.json"  # a line of JSON for each link
        if not record.is_file():
            raise CourseError(f"Sphinx did not follow the links:\n{done.stderr.strip()}")
        found = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return [
        f"{one['filename']}: {one['uri']} ({one['info']})" for one in found if one["status"] in ("broken", "timeout")
    ]


def _sphinx(builder: str, source: Path, made: Path, glass_box: Path) -> subprocess.CompletedProcess:
    if not (find_spec("sphinx") and find_spec("myst_nb") and find_spec("furo")):
        raise MissingExtraError("The web site is made by Sphinx, with MyST-NB and the theme Furo", "site")
    lay_out(source, glass_box, repository())
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", f"--builder={builder}"]
    return subprocess.run([*command, source, made], capture_output=True, text=True, check=False)


def repository() -> str:
    """Return the address of the repository on GitHub that pyproject.toml names under [project.urls], or nothing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository", "").removesuffix("/").removesuffix(".git")


def lay_out(source: Path, glass_box: Path, address: str) -> None:
    """Put everything that the site is made of into a folder, where it has the places that it has in the repository."""
    shutil.copytree(FRAME, source)
    for path in [*find_notebooks(), *find_notebooks(folder=EXERCISES)]:
        page = read_notebook(path)
        page = without_solutions(page) if path.parent == EXERCISES else page
        name = path.relative_to(ROOT).as_posix()
        ready = "" if path.parent == EXERCISES else address  # the repository has the sheets with their solutions
        _write(source / name, as_text(for_reading(page, launch_links(name, ready))))
        download = without_outputs(read_notebook(path)) if path.parent == SOURCES else page
        _write(source / "extra" / "downloads" / name, as_text(download))
    copy_drawings(SOURCES, source / SOURCES.name)
    shutil.copytree(DOCUMENTS / "glass-box", source / DOCUMENTS.name / "glass-box")
    for path in DOCUMENTS.glob("*.png"):
        shutil.copy(path, source / DOCUMENTS.name)
    for path in DOCUMENTS.glob("*.md"):
        _write(source / path.relative_to(ROOT), with_places(path.read_text(encoding="utf-8")))
    for path in DOCUMENTS.glob("teaching/*.md"):
        sheet = read_notebook(EXERCISES / f"{path.stem}.ipynb").cells[0].source.partition("\n")[0]
        title = sheet.replace("# Exercises", "# Teaching")
        _write(source / path.relative_to(ROOT), path.read_text(encoding="utf-8").replace("## Teaching notes", title, 1))
    for name in MODULE.findall((FRAME / "reference" / "index.md").read_text(encoding="utf-8")):
        _write(source / "reference" / f"{name}.md", reference_page(name))
    (source / "extra" / "live").mkdir(parents=True)
    shutil.copyfile(glass_box, source / "extra" / "live" / "glass-box.html")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def for_reading(page: NotebookNode, links: str) -> NotebookNode:
    """Return a notebook as the site shows it: folded where JupyterLab folds it, with alt texts, links under its title.

    What only a running page needs is left out: the cells that ask for a guess.
    """
    page.cells = [cell for cell in page.cells if not cell.source.startswith("guesses.ask(")]
    page.cells.insert(1, new_markdown_cell(links))
    for cell in page.cells:
        tags = cell.metadata.setdefault("tags", [])
        if cell.metadata.get("jupyter", {}).get("source_hidden"):
            tags.append("hide-input")
        if LIVE.search(cell.source) and STILL not in tags:
            tags.append("live-glass-box")
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(REPORT_MIME, None)
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell.metadata["mystnb"] = {"image": {"alt": alt}}
    return page


def launch_links(name: str, address: str) -> str:
    """Return the links of a page as HTML: its file, and where it opens ready to run if the repository is known."""
    up = "../" * name.count("/")
    links = [f'<a download href="{up}downloads/{name}">Download this notebook</a>']
    if address:
        place = address.removeprefix("https://github.com/")
        links += [
            f'<a href="https://colab.research.google.com/github/{place}/blob/main/{name}">Open in Colab</a>',
            f'<a href="https://www.kaggle.com/kernels/welcome?src={address}/blob/main/{name}">Open in Kaggle</a>',
            f'<a href="https://mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/{name}">Open in Binder</a>',
        ]
    return f'<p class="launch">{" · ".join(links)}</p>'


def with_places(text: str) -> str:
    """Let a document's links lead to the section of a lesson that they name."""
    text = GLOSSARY_PLACE.sub(lambda found: f"[{found[1]}]({found[3]}#{slug(found[2])})", text)
    return text.replace("](teaching/)", "](teaching/01_data.md)")


def slug(heading: str) -> str:
    """Return the name by which a heading is linked to, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def reference_page(name: str) -> str:
    """Return a page of the helper package's reference: what is public in a module, from its docstrings."""
    return f"# {name}\n\n```{{eval-rst}}\n.. automodule:: mnist_helpers.{name}\n   :members:\n```\n"
