"""Links hold in the site, and what leads to nothing is an error."""

import pytest

from docs.site.pages import BrokenLinkError, relinked, written_pages

PLACES = {
    "SECURITY.md": "project/security.md",
    "docs/a.md": "a.md",
    "docs/start/b.md": "start/b.md",
}


@pytest.mark.parametrize(
    ("path", "link", "expected"),
    [
        ("docs/a.md", "start/b.md#part", "start/b.md#part"),
        ("docs/a.md", "../SECURITY.md", "project/security.md"),
        ("docs/start/b.md", "../a.md", "../a.md"),
        ("docs/start/b.md", "../../SECURITY.md", "../project/security.md"),
        ("SECURITY.md", "docs/start/b.md", "../start/b.md"),
        ("docs/a.md", "checks/made.md", "checks/made.md"),
        ("docs/a.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/a.md", "#part", "#part"),
    ],
    ids=["down", "outside", "up", "up and outside", "from outside", "made", "address", "anchor"],
)
def test_a_link_leads_to_the_same_page(path, link, expected):
    assert (
        relinked(f"see [it]({link}).", path, PLACES, ["checks/made.md"]) == f"see [it]({expected})."
    )


def test_a_link_to_no_file_is_an_error():
    with pytest.raises(
        BrokenLinkError, match=r"docs/a\.md links to b\.md, and there is no docs/b\.md"
    ):
        relinked("[it](b.md)", "docs/a.md", PLACES)


def test_a_file_that_is_no_page_is_linked_where_the_repository_is_known(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert relinked("[it](../tox.ini)", "docs/a.md", PLACES) == "it"
    monkeypatch.setenv("GITHUB_REPOSITORY", "some/where")
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    linked = relinked("[it](../tox.ini)", "docs/a.md", PLACES)
    assert linked == "[it](https://github.com/some/where/blob/main/tox.ini)"


def test_programs_are_left_alone():
    text = "```python\nx = f[0](b.md)\n```\n"
    assert relinked(text, "docs/a.md", PLACES) == text


def test_every_written_page_is_in_the_site():
    places = written_pages()
    assert {"docs/index.md", "docs/laws.md", "SECURITY.md"} <= set(places)
    assert len(set(places.values())) == len(places)
