"""The AsyncAPI document says what goes over MQTT, no more and no less."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from appliance import messages
from appliance.faces import Counts
from appliance.messages import FROM_BOX, SHAPES, Certificate, Command, Hello, Kind, Message, Outcome, Renewal, Row, Sums
from appliance.messages import State as BoxState
from appliance.sync.figures import OfStream, Topic, figures_of
from scripts.asyncapi import document
from tests.conftest import REPOSITORY

EPOCH = "0123456789abcdef"
EXAMPLES: tuple[Message, ...] = (
    Sums(epoch=EPOCH, rows=[Row(1, -3, 1_700_000_000, 5, 60, 3, -1, 0, 2)], after=0, upto=5),
    Hello(epoch=EPOCH, tops={EPOCH: 5}, streams={"1": "door"}, machine="ab", version="1", clock="believed"),
    BoxState(epoch=EPOCH, status="running", live=[1], backlog=3, disk_free_mb=900, temperature_c=51.5),
    Outcome(id=EPOCH, done=True, words="done", at_utc=5),
    Renewal(request="-----BEGIN CERTIFICATE REQUEST-----"),
    messages.Watermarks(upto={EPOCH: 5}),
    Command(id=EPOCH, action="restart", detail="watch", by="eva", given_utc=5, expires_utc=65),
    Command(id=EPOCH, action="update", by="eva", given_utc=5, expires_utc=65, address="https://a/b", sha256="0" * 64),
    Certificate(certificate="-----BEGIN", authority="-----BEGIN"),
)


def test_the_file_is_what_the_code_says() -> None:
    assert json.loads((REPOSITORY / "docs" / "asyncapi.json").read_text()) == document()


def test_every_topic_and_every_direction_is_there() -> None:
    found = document()
    addresses = {channel["address"] for channel in found["channels"].values()}
    assert {messages.topic("{box}", kind) for kind in Kind} <= addresses
    assert {f"mb9k/{{box}}/{kind.value}" for kind in Topic} <= addresses
    sends = {one["channel"]["$ref"] for one in found["operations"].values() if one["action"] == "send"}
    assert {f"#/channels/fleet_{kind.value}" for kind in Kind} & sends == {
        f"#/channels/fleet_{kind.value}" for kind in FROM_BOX
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: type(example).__name__)
def test_a_message_on_the_wire_is_as_documented(example: Message) -> None:
    assert type(example) in SHAPES.values()
    jsonschema.validate(json.loads(messages.encode(example)), _schema(type(example).__name__))


def test_every_shape_has_an_example() -> None:
    assert {type(example) for example in EXAMPLES} == set(SHAPES.values())


def test_figures_on_site_are_as_documented() -> None:
    for stream in (None, OfStream("door", True, "too dark")):
        plain = msgspec.json.encode(figures_of(Counts(3, 1), "2026-11-27T00:00:00+00:00", stream))
        jsonschema.validate(json.loads(plain), _schema("Figures"))


@pytest.mark.parametrize("spoilt", [{"epoch": "../x", "rows": []}, {"epoch": EPOCH, "rows": [["a", 0, 5, 1]]}])
def test_the_document_refuses_what_the_code_refuses(spoilt: dict[str, Any]) -> None:
    with pytest.raises(messages.Malformed):
        messages.decode(json.dumps(spoilt).encode(), Sums)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt, _schema("Sums"))


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
