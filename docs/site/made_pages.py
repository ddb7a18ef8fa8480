"""All pages that programs make."""

from __future__ import annotations

from docs.site.api_pages import api_pages
from docs.site.check_pages import check_pages
from docs.site.command_page import command_page
from docs.site.feature_page import feature_page
from docs.site.gallery_page import gallery_page

__all__ = ["made_pages"]


def made_pages() -> dict[str, str]:
    """Returns the text of each page, by its place in the site."""
    return {**api_pages(), **check_pages(), **command_page(), **feature_page(), **gallery_page()}
