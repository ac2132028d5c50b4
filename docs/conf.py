"""How Sphinx makes the site of these pages: `make docs`, offline, with warnings as errors.

The pages are Markdown (MyST), notebooks are Markdown as well (MyST-NB), and the reference is made
of the docstrings of every public name. Nothing is fetched while it is built; formulas are set by
MathJax when a page is read.
"""

import os
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import reference  # noqa: E402  (it lies beside this file, which Sphinx runs from elsewhere)

project, author = "lensjax", "the authors of lensjax"
release = metadata.version("lensjax")
extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "myst_nb"]
root_doc = "index"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"lensjax {release}"
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = True

# A test runs the code of the notebooks too; LENSJAX_DOCS_EXECUTE=off builds without running.
nb_execution_mode = os.environ.get("LENSJAX_DOCS_EXECUTE", "force")
nb_execution_timeout = 300  # compiling takes minutes on a machine that does other things too
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_mock_imports = ["torch", "torchvision"]  # an extra that nobody needs for the pages
# Several packages have a class of one name, and an annotation says the name alone. The lexer of a
# notebook is known from its kernel, that is only where it is run.
suppress_warnings = ["autodoc.mocked_object", "ref.python", "myst-nb.lexer"]


def setup(app) -> None:
    """Writes the pages of the reference before Sphinx looks for pages."""
    app.connect("config-inited", lambda app, config: reference.write(HERE / "reference"))
    app.connect("autodoc-process-docstring", reference.readable)
