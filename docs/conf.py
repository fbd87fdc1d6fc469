"""How Sphinx builds the site: the Markdown pages as they lie, and the public Python API from its docstrings.

The repository is the source folder, so that a link between pages is the same on the site and in the repository.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

project = "Rewardloop"
html_title = "Rewardloop"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = ["CHANGELOG.md", "docs/**", "benchmarks/**"]
root_doc = "docs/index"
default_role = "code"
html_theme = "furo"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
