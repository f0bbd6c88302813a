"""How Sphinx builds the site: ``make docs``."""

from importlib.metadata import version as _version

project = "ldmbench"
copyright = "the authors of ldmbench"
release = version = _version("ldmbench")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = "ldmbench"
