"""The page about the JSON API: what it says is true, on a box and on a centre."""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from appliance.central.viewer import openapi as of_centre
from appliance.language import LANGUAGES
from appliance.local import openapi as of_box
from appliance.web import reference
from tests.fleets import Fleet
from tests.site import Box
from tests.test_docs import asked

DOCUMENTS = {"box": of_box.document(), "centre": of_centre.document()}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_example_of_an_answer_is_one_that_its_schema_takes(document: dict[str, Any]) -> None:
    components = {"components": document["components"]}
    faults, seen = [], 0
    for noun in reference.nouns(document, "http://box", "TOKEN"):
        for one in noun.operations:
            responses = document["paths"][one.path][one.method.lower()]["responses"]
            schema = responses[one.status].get("content", {}).get("application/json", {}).get("schema", {})
            if one.example:
                seen += 1
                found = Draft202012Validator({**schema, **components}).iter_errors(json.loads(one.example))
                faults += [f"{one.method} {one.path}: {fault.message}" for fault in found]
    assert seen > 15
    assert faults == []


def test_the_page_of_a_box_says_all_that_the_document_says_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    box = Box(tmp_path)
    page = box.browser("sci").get("/account/api").text
    account = box.browser("sci").get("/account").text
    box.close()
    for path, operations in DOCUMENTS["box"]["paths"].items():
        for method, operation in operations.items():
            assert f"<code>{method.upper()} {path}</code>" in page
            assert all(f"<code>{each['name']}</code>" in page for each in operation["parameters"])
    anchors = set(re.findall(r' id="([^"]+)"', page))
    assert {link for link in re.findall(r'href="#([^"]+)"', page) if link not in anchors} == set()
    assert 'href="/account/api"' in account


@pytest.mark.parametrize("path", ["/account", "/account/api"])
def test_the_line_to_copy_works_where_it_was_copied(path: str, tmp_path: Path) -> None:
    box = Box(tmp_path)
    page = box.browser("ann").get(path).text
    line = html.unescape(re.findall(r"<code data-copied>(curl .*?)</code>", page)[0])
    answer = asked(line.replace("TOKEN", "$TOKEN"), box.app)
    box.close()
    assert line.endswith('"http://box.test/api/v1/status"')
    assert answer.is_success and answer.json()["box"] == box.config.box


def test_below_a_path_the_line_has_the_address_that_people_open(tmp_path: Path) -> None:
    box = Box(tmp_path, web={"base_url": "http://proxy.example.org/box3"})
    page = box.browser("ann").get("/account/api").text
    box.close()
    assert '"http://proxy.example.org/box3/api/v1/status"' in html.unescape(page)


SAID_BY_A_FIELD_S_NAME = re.compile(r"(?:^|(?<=[.;] ))[a-z_0-9, ]+: ")
NEVER_SHOWN = {"Done.", "A JPEG.", "A file."}


def in_words(document: Any) -> Iterator[str]:
    """All that a document says to people, wherever it stands in it."""
    if isinstance(document, dict):
        yield from (
            value for name, value in document.items() if name in ("summary", "description") and isinstance(value, str)
        )
        yield from (text for name, value in document.items() if name != "examples" for text in in_words(value))
    elif isinstance(document, list):
        yield from (text for value in document for text in in_words(value))


def as_read(markup: str) -> str:
    """The text of a page, as a reader finds it."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


@pytest.mark.parametrize("site", DOCUMENTS)
def test_the_page_says_all_of_it_in_the_language_of_its_reader(site: str, tmp_path: Path) -> None:
    of: Any = Box(tmp_path) if site == "box" else Fleet(tmp_path, str(tmp_path / "central.db"))
    browser = of.browser("ann")
    pages = {}
    for language in LANGUAGES:
        browser.client.headers["Accept-Language"] = language
        pages[language] = as_read(browser.get("/account/api").text)
    of.close()
    said = {
        piece.strip(" .;")
        for text in in_words(DOCUMENTS[site])
        if text not in NEVER_SHOWN
        for paragraph in inspect.cleandoc(text).replace("`", " ").split("\n\n")
        for piece in SAID_BY_A_FIELD_S_NAME.split(" ".join(paragraph.split()))
        if len(piece.split()) > 2
    }
    assert len(said) > 100
    for language, page in pages.items():
        assert [text for text in said if (text in page) != (language == "en")] == [], language


def test_a_description_tells_of_fields_and_of_the_whole() -> None:
    about = "Who it is. name, title: how it is called; null: not at all. More. age: in years.\n\n    null: nobody."
    fields = {field: {"type": "string"} for field in ("name", "title", "age")}
    shape = {"type": "object", "description": about, "properties": fields}
    document = {"info": {"description": "An API."}, "paths": {}, "components": {"schemas": {"Who": shape}}}
    told = reference.shapes(document)[0]
    assert told.told == ("Who it is.", "null: nobody.")
    assert told.meanings == {
        **dict.fromkeys(("name", "title"), "how it is called; null: not at all. More."),
        "age": "in years",
    }
    assert list(reference.sentences(document)) == [
        (None, "An API."),
        (None, "Who it is."),
        (None, "null: nobody."),
        ("name, title", "how it is called; null: not at all. More."),
        ("age", "in years"),
    ]


def test_the_document_for_programs_is_english_whatever_the_reader_s_language(tmp_path: Path) -> None:
    box = Box(tmp_path)
    german = box.browser("ann")
    german.client.headers["Accept-Language"] = "de"
    german.get("/account/api")
    served = german.get("/api/openapi.json").json()
    refused = german.get("/api/v1/streams/99", headers={"Authorization": "Bearer token of ann"}).json()
    box.close()
    assert served == DOCUMENTS["box"]
    assert refused == {"error": "There is no such stream, or it is not yours."}


def test_a_centre_has_the_same_page(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, str(tmp_path / "central.db"))
    page = fleet.browser("ann").get("/account/api").text
    fleet.close()
    assert "<code>GET /api/v1/boxes/{box_id}</code>" in page and "http://box.test/api/v1/status" in page
