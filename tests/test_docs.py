"""The pages of docs/ are true: their links lead to files, and the packages and modules exist."""

import re
from pathlib import Path

import pytest
from doc_pages import ROOT, page

import charrnn

PACKAGES = {path.parent.name for path in Path(charrnn.__file__).parent.glob("*/__init__.py")}
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_a_page_leads_to_a_file(name):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page(f"docs/{name}"))
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def anchors(name):
    """Return the anchors of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page(name), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *(f"docs/{p}" for p in PAGES)])
def test_every_anchor_in_a_link_is_a_heading(name):
    folder = (ROOT / name).parent
    for link, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page(name)):
        target = folder / link if link else ROOT / name
        assert anchor in anchors(str(target.resolve().relative_to(ROOT))), f"{link}#{anchor}"


def test_every_package_is_listed_and_none_that_is_not_there():
    named = re.findall(r"^\| `(\w+)/` \|", page("docs/architecture.md"), re.MULTILINE)
    assert sorted(named) == sorted(PACKAGES)


def test_every_module_that_the_architecture_names_exists():
    paths = re.findall(rf"`((?:{'|'.join(PACKAGES)})/[\w/]+\.\w+)`", page("docs/architecture.md"))
    assert len(paths) >= 30
    assert [path for path in paths if not (ROOT / "charrnn" / path).is_file()] == []
