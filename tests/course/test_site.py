"""The web site: what a page becomes for it; built once, all its links lead somewhere and it needs no other host."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mnist_helpers.cli import main
from mnist_helpers.course import site
from mnist_helpers.course.runner import SOURCES, find_notebooks
from mnist_helpers.errors import MissingExtraError, UsageError
from mnist_helpers.pages import REPORT_MIME
from mnist_helpers.runtime import ROOT

LARGEST_PAGE, LARGEST_BOX = 3_000_000, 5_000_000  # bytes, with pictures
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}  # what a browser fetches


def picture(alt: str):
    return new_output("display_data", {"image/png": "aGVsbG8="}, metadata={"image/png": {"alt": alt}})


def test_a_page_is_folded_where_jupyterlab_folds_it_has_alt_texts_and_asks_for_no_guesses():
    report = new_output("display_data", {REPORT_MIME: {"a": 1}, "text/plain": "a: 1"})
    page = new_notebook(
        cells=[
            new_markdown_cell("# 9 · A page"),
            new_code_cell("draw()", metadata={"jupyter": {"source_hidden": True}}, outputs=[picture("two cats")]),
            new_code_cell('guesses.ask("cats")', metadata={"jupyter": {"source_hidden": True}}),
            new_code_cell("model = 1\nGlassBox(model, val)", outputs=[picture("a widget"), report]),
            new_code_cell("GlassBox(this, val)", metadata={"tags": [site.STILL]}, outputs=[picture("a widget")]),
        ]
    )
    title, links, drawn, box, still = site.for_reading(page, "<p>here</p>").cells
    assert (title.source, links.source) == ("# 9 · A page", "<p>here</p>")
    assert drawn.metadata.tags == ["hide-input"]
    assert drawn.metadata.mystnb.image.alt == "two cats"
    assert box.metadata.tags == ["live-glass-box"]
    assert still.metadata.tags == [site.STILL]
    assert [list(output.data) for output in box.outputs] == [["image/png"], ["text/plain"]]


FOLLOWED = """{"filename": "notebooks/02_model.ipynb", "status": "working", "uri": "https://a.org", "info": ""}
{"filename": "README.md", "status": "broken", "uri": "https://b.org/x", "info": "404 Client Error"}
"""


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (FOLLOWED, "error: 1 links lead nowhere:\nREADME.md: https://b.org/x (404 Client Error)\n"),
        (FOLLOWED.splitlines()[0], "Every link to another host leads somewhere.\n"),
        (None, "error: Sphinx did not follow the links:\nno such builder\n"),
    ],
)
def test_links_that_lead_nowhere_are_named_with_their_page(monkeypatch, capsys, record, said):
    def follow(command: list, **_options) -> subprocess.CompletedProcess:
        assert "--builder=linkcheck" in command
        if record is not None:
            command[-1].mkdir()
            (command[-1] / "output.json").write_text(record)
        return subprocess.CompletedProcess(command, 1, stderr="no such builder")

    monkeypatch.setattr(site, "lay_out", lambda *_: None)
    monkeypatch.setattr(site.subprocess, "run", follow)
    monkeypatch.setattr("sys.argv", ["mnist-helpers", "site", "--check-links"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert "".join(capsys.readouterr()) == said
    assert bool(ended.value.code) == said.startswith("error")


def test_a_page_is_offered_where_the_repository_is_and_as_a_file_anyhow():
    alone = site.launch_links("notebooks/01_data.ipynb", "")
    assert re.findall('href="([^"]+)"', alone) == ["../downloads/notebooks/01_data.ipynb"]
    known = re.findall(
        'href="([^"]+)"', site.launch_links("notebooks/exercises/01_data.ipynb", "https://github.com/a/b")
    )
    assert known[0] == "../../downloads/notebooks/exercises/01_data.ipynb"
    assert [urlsplit(link).hostname for link in known[1:]] == [
        "colab.research.google.com",
        "www.kaggle.com",
        "mybinder.org",
    ]
    assert all("a/b" in link and link.endswith("notebooks/exercises/01_data.ipynb") for link in known[1:])


@pytest.mark.parametrize(
    ("urls", "address"),
    [
        ("", ""),
        ('[project.urls]\nRepository = "https://github.com/a/b.git"', "https://github.com/a/b"),
        ('[project.urls]\nHomepage = "https://example.org"', ""),
    ],
)
def test_one_setting_names_the_repository(tmp_path, monkeypatch, urls, address):
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "x"\n{urls}\n')
    monkeypatch.setattr(site, "ROOT", tmp_path)
    assert site.repository() == address


def test_a_term_leads_to_its_section():
    line = "**stride** How far. [2 · What moves in, moves out](../notebooks/02_model.ipynb)"
    assert site.with_places(line).endswith("(../notebooks/02_model.ipynb#what-moves-in-moves-out)")


def test_without_sphinx_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"mnist-helpers\[site\]"):
        site.build_site(tmp_path / "box.html", tmp_path / "site")
    assert not list((tmp_path / "site").iterdir())


@pytest.mark.parametrize("older", [False, True])
def test_a_folder_that_holds_anything_but_an_older_site_is_refused_before_the_work(tmp_path, monkeypatch, older):
    (tmp_path / "thesis.txt").touch()
    if older:
        (tmp_path / site.SIGN).touch()
        site.check_place(tmp_path)
    else:
        monkeypatch.setattr("mnist_helpers.checkpoints.load_model", lambda *_: pytest.fail("it was begun"))
        monkeypatch.setattr("sys.argv", ["mnist-helpers", "site", str(tmp_path)])
        with pytest.raises(SystemExit):
            main()
        with pytest.raises(UsageError, match="holds other files than a site's"):
            site.build_site(tmp_path / "box.html", tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_what_is_laid_out_holds_no_solution_and_downloads_no_output(tmp_path):
    box = tmp_path / "box.html"
    box.write_text("<p>box</p>")
    site.lay_out(tmp_path / "source", box, "https://github.com/a/b")
    pages = sorted((tmp_path / "source").rglob("*.ipynb"))
    names = {path.relative_to(SOURCES.parent).as_posix() for path in SOURCES.rglob("*.ipynb")}
    assert len(pages) == 2 * len(names)
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "BEGIN SOLUTION" not in text
        assert "BEGIN HIDDEN TESTS" not in text
        assert "github.com/a/b/blob/main/notebooks/exercises" not in text  # where the solutions are
        if "downloads" in path.parts:
            assert not [cell for cell in nbformat.reads(text, 4).cells if cell.get("outputs")]


class Page(HTMLParser):
    """What a page of the site is made of: where it links to, what it loads, its anchors, its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.loads, self.anchors, self.without_alt = path, [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.anchors |= {named.get("id"), named.get("name")} - {None}
        if tag == "a" and named.get("href"):
            self.links.append(named["href"])
        if address := named.get(LOADED.get(tag, "")):
            self.loads.append(address)
        if tag == "img" and not named.get("alt", "").strip():
            self.without_alt.append(named.get("src"))

    def found(self, address: str) -> Path:
        place = unquote(urlsplit(address).path)
        return (self.path.parent / place).resolve() if place else self.path


def root(pages: dict[Path, Page]) -> Path:
    return min(pages, key=lambda path: len(path.parts)).parent


@pytest.fixture(scope="module")
def built(site_folder) -> dict[Path, Page]:
    pages = [path for path in site_folder.rglob("*.html") if path.name not in ("genindex.html", "search.html")]
    return {path: Page(path) for path in pages}


@pytest.mark.slow
def test_every_page_and_every_link_of_the_site_is_there(built):
    folder = root(built)
    lessons = [*find_notebooks(), *find_notebooks(folder=site.EXERCISES)]
    assert {folder / path.relative_to(ROOT).with_suffix(".html") for path in lessons} <= built.keys()
    for page in built.values():
        for link in [link for link in page.links + page.loads if not urlsplit(link).scheme]:
            target, anchor = page.found(link), unquote(urlsplit(link).fragment)
            assert target.exists(), f"{page.path.name}: {link}"
            if anchor and target in built:
                assert anchor in built[target].anchors, f"{page.path.name}: {link}"


@pytest.mark.slow
def test_no_page_of_the_site_needs_another_host_and_each_picture_has_words(built):
    for path, page in built.items():
        assert [address for address in page.loads if urlsplit(address).netloc] == [], path.name
        assert page.without_alt == [], path.name
    elsewhere = re.compile(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//")
    styles = list(root(built).rglob("*.css"))
    assert "course.css" in {path.name for path in styles}
    assert [path.name for path in styles if elsewhere.search(path.read_text("utf-8"))] == []


@pytest.mark.slow
def test_formulas_are_mathml_and_pages_are_small(built):
    training = next(path for path in built if path.parts[-2:] == ("notebooks", "03_training.html"))
    text = training.read_text(encoding="utf-8")
    assert text.count("<math ") > 20
    assert r"\frac" not in text
    for path, page in built.items():
        pictures = {page.found(address) for address in page.loads if "_images" in address}
        assert path.stat().st_size + sum(one.stat().st_size for one in pictures) < (
            LARGEST_BOX if path.name == "glass-box.html" else LARGEST_PAGE
        )
