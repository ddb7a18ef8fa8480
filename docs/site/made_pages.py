"""All pages that programs make."""

from __future__ import annotations

from docs.site.api_pages import api_pages

__all__ = ["made_pages"]


def made_pages() -> dict[str, str]:
    """Returns the text of each page, by its place in the site."""
    return api_pages()
