"""How the site is built: `make docs`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import whilst

project = "whilst"
author = "the authors of whilst"
release = whilst.__version__
extensions = ["myst_parser", "reference", "llms", "pages"]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["deflist", "attrs_block", "attrs_inline"]
myst_heading_anchors = 4
nitpicky = True
suppress_warnings = ["epub.unknown_project_files"]
highlight_language = "text"

html_theme = "furo"
html_title = "whilst"
html_static_path = ["_static"]
html_css_files = ["whilst.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0a6b5d", "color-brand-content": "#0a6b5d"},
    "dark_css_variables": {"color-brand-primary": "#4fd1b5", "color-brand-content": "#4fd1b5"},
}
