"""How Sphinx makes a web site of what `mnist_helpers.course.site` lays out. It asks no other host for anything."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

project = "MNIST CNN notebooks"
author = "the authors of MNIST CNN notebooks"
extensions = ["myst_nb", "sphinx.ext.autodoc"]

nb_execution_mode = "off"  # what was committed is shown
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_ipywidgets_js = {}  # a widget is a picture here; its scripts would come from another host
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "code"  # docstrings write `like this`

linkcheck_timeout = 20  # seconds
linkcheck_retries = 2
linkcheck_workers = 5

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_extra_path = ["extra"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def mathml(block: bool):
    """Return what writes a formula as MathML, which browsers show without a script or a font of their own."""

    def visit(writer: nodes.NodeVisitor, node: nodes.Node) -> None:
        formula = tex2mathml(node.astext(), as_block=block)
        writer.body.append(formula.replace("<mtable", '<mtable displaystyle="true"'))  # lines of their own, not small
        raise nodes.SkipNode

    return visit


def name_the_level_of_captions(_app: Sphinx, _page: str, _template: str, context: dict, _tree: nodes.document) -> None:
    """Say of the captions of a list of pages how deep they stand: Sphinx calls them headings and leaves that out."""
    for part in ("body", "furo_navigation_tree"):
        if context.get(part):
            context[part] = context[part].replace('role="heading">', 'role="heading" aria-level="2">')


def setup(app: Sphinx) -> None:
    """Let formulas be written as MathML, and mend what the theme leaves."""
    app.connect("html-page-context", name_the_level_of_captions, priority=900)  # after the theme
    app.add_html_math_renderer("mathml", (mathml(block=False), None), (mathml(block=True), None))
