"""Each page of the site in headless Chromium."""

import contextlib

import pytest

from docs.tests.conftest import SITE

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.relative_to(SITE).parts  # of the theme: no pages
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@contextlib.contextmanager
def opened(browser, url, **options):
    """A page, and what went wrong while it was read."""
    context = browser.new_context(**options)
    page, troubles = context.new_page(), []
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda request: troubles.append(f"not loaded: {request.url}"))
    page.on(
        "response",
        lambda got: troubles.append(f"{got.status}: {got.url}") if got.status >= 400 else None,
    )
    page.goto(url, wait_until="load")
    yield page, troubles
    context.close()


def test_there_are_pages():
    assert {"index.html", "start/index.html", "api/flaxlayer.html"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES, ids=PAGES)
def test_a_page_opens_without_an_error_and_fits_a_phone(browser, address, name):
    with opened(browser, f"{address}/{name}", viewport=DESKTOP) as (page, troubles):
        assert page.title()
        page.set_viewport_size(PHONE)
        wide = page.evaluate("document.documentElement.scrollWidth")
    assert troubles == []
    assert wide <= PHONE["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_light_or_dark_as_its_reader_likes(browser, address, scheme):
    with opened(browser, f"{address}/index.html", color_scheme=scheme) as (page, _):
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in color.strip("rgb()").split(",")[:3])
    assert (red + green + blue > 3 * 128) == (scheme == "light")


def test_the_search_finds_a_name_of_the_reference(browser, address):
    url = f"{address}/search.html?q=load_flax_variables"
    with opened(browser, url) as (page, troubles):
        page.wait_for_selector("#search-results li a")
        found = [
            link.get_attribute("href") for link in page.query_selector_all("#search-results li a")
        ]
    assert any("api/flaxlayer.html" in link for link in found)
    assert troubles == []


def test_a_page_that_is_too_wide_is_noticed(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<meta name=viewport content='width=device-width'><pre>" + "x" * 200)
    with opened(browser, page.as_uri(), viewport=PHONE) as (wide, _):
        assert wide.evaluate("document.documentElement.scrollWidth") > PHONE["width"]


def test_an_error_in_the_console_is_noticed(browser, address, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<script>console.error('broken'); missing()</script><img src='gone.png'>")
    with opened(browser, page.as_uri()) as (_, troubles):
        pass
    assert any("broken" in trouble for trouble in troubles)
    assert any("missing is not defined" in trouble for trouble in troubles)
    assert any("gone.png" in trouble for trouble in troubles)
