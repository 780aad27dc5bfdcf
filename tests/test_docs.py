"""The documents: what is made from the code is up to date, and what is written by hand names only what exists."""

from __future__ import annotations

import ast
import re
import shlex
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from appliance.central.config import CentralConfig
from appliance.cli import cli
from appliance.config import Config, decode, sections, settings
from scripts import languages
from scripts.docs import FOLDER, OF_BOX, OF_CENTRE, PAGES, Described, api
from tests.alerted import something_is_wrong
from tests.central_alerts import something_is_wrong as at_a_centre
from tests.conftest import REPOSITORY
from tests.fleets import Fleet
from tests.site import Box

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("[!.]*/**/*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?<![\w.=-])mb9k((?: +[^\s|;&()]+)+)")
SETTING = re.compile(r"(?<![\w./-])(web|rtmp|media|vision|images|backup)\.([a-z]\w*)")

ADDRESSES = {"BOX": "http://box.test", "CENTRE": "http://box.test"}

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))


def inline_code(text: str) -> list[str]:
    return INLINE.findall(FENCED.sub("", text))


@pytest.mark.parametrize("page", PAGES)
def test_what_is_made_from_the_code_is_up_to_date(page: str) -> None:
    assert (FOLDER / page).read_text() == PAGES[page](), "run python -m scripts.docs"


def complaints(words: list[str]) -> Iterator[str]:
    """What is wrong with a command line as a document has it, without the leading `mb9k`."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in words:
        if word.startswith("#"):
            return
        name = word.strip("[].,:`")  # also of code within a fenced block
        if name.startswith("--"):
            if not any(name in parameter.opts for parameter in command.get_params(context)):
                yield f"{command.name or 'mb9k'} has no option {name}"
        elif isinstance(command, click.Group) and re.fullmatch("[a-z][a-z-]*", name):
            below = command.get_command(context, name)
            if below is None:
                yield f"there is no command {name}"
                return
            command = below


@each_document
def test_every_command_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    code = [*inline_code(text), *(line for _, block in FENCED.findall(text) for line in block.splitlines())]
    named = [found[1].split() for snippet in code for found in COMMAND.finditer(snippet)]
    assert [fault for words in named for fault in complaints(words)] == []


@pytest.mark.parametrize("line", ["strem list", "stream ad door", "--confg x run", "stream add door --ownr ann"])
def test_a_command_that_does_not_exist_is_seen(line: str) -> None:
    assert list(complaints(line.split()))


@pytest.mark.parametrize(
    "line", ["--config FILE check", "stream add NAME --owner NAME [--source rtsp://...]", "run # all"]
)
def test_a_command_that_exists_is_no_fault(line: str) -> None:
    assert not list(complaints(line.split()))


@each_document
def test_every_setting_that_is_named_exists(path: Path) -> None:
    there = {(name, setting) for name, section in sections(Config()) for setting in settings(type(section))}
    named = {found for code in inline_code(path.read_text()) for found in SETTING.findall(code)}
    modules = {(file.parent.name, file.stem) for file in (REPOSITORY / "appliance").glob("*/*.py")}
    assert {(room, name) for room, name in named if name != "py"} - modules <= there


@each_document
def test_every_example_of_a_configuration_is_valid(path: Path, tmp_path: Path) -> None:
    for language, block in FENCED.findall(path.read_text()):
        if language == "toml":
            (tmp_path / "mb9k.toml").write_text(block)
            decode(tmp_path / "mb9k.toml", CentralConfig if path.name == "central.md" else Config)


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as they stand in addresses."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(FENCED.sub("", path.read_text())):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if "://" not in link:
            assert target.exists(), f"{link} leads nowhere"
            assert not anchor or anchor in anchors(target.read_text()), f"{link}: there is no such heading"


def test_the_index_names_every_page() -> None:
    index = (FOLDER / "README.md").read_text()
    pages = [page.name for page in FOLDER.iterdir() if page.is_file() and page.name != "README.md"]
    assert [page for page in pages if f"({page})" not in index] == []


def sentences() -> Iterator[str]:
    """Every text in the code and the pages; what is filled in is a dot."""
    for path in languages.sources():
        for node in ast.walk(ast.parse(languages.code_of(path))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"{[^}]*}", "…", node.value)
    for path in (REPOSITORY / "appliance").rglob("*.html"):
        yield re.sub(r"{{.*?}}", "…", " ".join(path.read_text().split()))


def test_what_the_box_is_quoted_to_say_it_says() -> None:
    said = "\n".join(sentences())
    quoted = re.findall(r"“([^”]+)”", (FOLDER / "troubleshooting.md").read_text())
    assert len(quoted) > 10
    assert [quote for quote in quoted if quote not in said] == []


def examples(of: Described) -> list[str]:
    """The command lines of a page about an API."""
    return [line for line in api(of).splitlines() if line.startswith("curl ")]


def asked(line: str, app: Any) -> httpx.Response:
    """What a site answers to such a command line."""
    words = iter(shlex.split(string.Template(line).substitute(ADDRESSES, TOKEN="token of ann"))[1:])
    method, headers, content, address = "GET", {"Content-Type": "application/x-www-form-urlencoded"}, "", ""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            content = next(words)
        elif word == "-o":
            next(words)
        else:
            address = word
    with httpx.Client(transport=httpx.WSGITransport(app=app)) as client:
        return client.request(method, address, headers=headers, content=content)


@pytest.mark.parametrize("line", examples(OF_BOX))
def test_every_example_of_the_api_works(line: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    with box.store.writing():
        something_is_wrong(box.store.alerts, box.clock.now)
    answer = asked(line, box.app)
    box.close()
    if re.search("/updates/(fetch|start|back)", line) and "DELETE" not in line:
        assert re.search("set up in another way|no bundle to install", answer.text), "it has no releases"
        return
    assert answer.is_success, answer.text


@pytest.mark.parametrize("line", examples(OF_CENTRE))
def test_every_example_of_the_api_of_a_centre_works(line: str, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, str(tmp_path / "central.db"))
    with fleet.store.saving():
        at_a_centre(fleet)
    answer = asked(line, fleet.app)
    fleet.close()
    assert answer.is_success, answer.text
