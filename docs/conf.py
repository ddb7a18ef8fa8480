"""What Sphinx is told of the site; `python -m docs.site` starts it."""

import importlib.metadata
import os

project = "flaxlayer"
author = "The flaxlayer developers"
copyright = f"2026, {author}"
release = version = importlib.metadata.version("flaxlayer")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "docs.site.docstrings",
]

# Pages. Each is Markdown; one with a kernel in its header is run.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = os.environ.get("SITE_EXECUTION", "cache")
suppress_warnings = ["myst-nb.lexer"] if nb_execution_mode == "off" else []
nb_execution_cache_path = os.environ["SITE_OUTPUTS"]
nb_execution_in_temp = True
nb_execution_timeout = 1800  # a machine may be busy
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_output_stderr = "remove"  # notes of libraries and progress
nb_ipywidgets_js = {}  # no page loads anything from elsewhere

# The reference.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
toc_object_entries_show_parents = "hide"

# What it looks like.
html_theme = "sphinx_book_theme"
html_title = "flaxlayer"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],  # the search stands in the sidebar
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
}
if repository := os.environ.get("GITHUB_REPOSITORY"):
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    html_theme_options |= {
        "repository_url": f"{server}/{repository}",
        "use_repository_button": True,
        "use_issues_button": True,
    }
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "default"
