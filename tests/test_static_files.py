"""Scripts and style sheets: none is too long to read, and each page has those that what stands in it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.web.static import KIT_STATIC
from tests.conftest import REPOSITORY

LINES = 400
VIEWS = {path.name: path for path in sorted((REPOSITORY / "appliance").rglob("views/*.html"))}
PAGES = sorted(
    path for path in (REPOSITORY / "appliance").rglob("views/*.html") if '% rebase("base.html"' in path.read_text()
)
NEEDED = {"data-preview=": "previews.js", "data-upload ": "upload.js"}
"""What a view must ask for, by what it is for."""


def classes(sheet: str) -> set[str]:
    selectors = re.findall(r"([^{}]+)\{", re.sub(r"/\*.*?\*/", "", (KIT_STATIC / sheet).read_text(), flags=re.DOTALL))
    return {name for each in selectors for name in re.findall(r"\.([a-zA-Z][\w-]*)", each)}


def whole(path: Path) -> str:
    """A view with the partials of its own folder and of others that it includes."""
    text = path.read_text()
    for name in re.findall(r'include\("([^"]+)"', text):
        text += whole(path.parent / name if (path.parent / name).exists() else VIEWS[name])
    return text


def test_no_script_and_no_sheet_is_too_long() -> None:
    files = [path for path in KIT_STATIC.iterdir() if path.suffix in (".css", ".js")]
    assert len(files) > 10
    assert [path.name for path in files if len(path.read_text().splitlines()) > LINES] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY / "appliance")))
def test_a_page_asks_for_what_stands_in_it(page: Path) -> None:
    text = whole(page)
    asked = re.search(r"% rebase\(.*", text)
    assert asked
    for mark, script in NEEDED.items():
        assert mark not in text or script in text, f"{mark} is for {script}"
    used = {name for found in re.findall(r'class="([^"{]*)', text) for name in found.split()}
    of_pictures = used & (classes("pictures.css") - classes("app.css") - classes("charts.css"))
    assert not of_pictures or "pictures.css" in asked[0], f"pictures.css dresses {of_pictures}"
