"""How Sphinx makes a web site of what `mnist_helpers.course.site` lays out. It asks no other host for anything."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

project = "MNIST CNN notebooks"
author = "the authors of MNIST CNN notebooks"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["downloads"]

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

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["live.js"]
html_extra_path = ["extra"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def mathml(block: bool):
    """Return what writes a formula as MathML, which browsers show without a script or a font of their own."""

    def visit(writer: nodes.NodeVisitor, node: nodes.Node) -> None:
        writer.body.append(tex2mathml(node.astext(), as_block=block))
        raise nodes.SkipNode

    return visit


def setup(app: Sphinx) -> None:
    """Let formulas be written as MathML."""
    app.add_html_math_renderer("mathml", (mathml(block=False), None), (mathml(block=True), None))
