"""The Python client of docs/ against a site that runs: it is made from the document, and the document is kept."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from appliance.local.openapi import OPERATIONS
from scripts.docs import FOLDER
from scripts.docs_client import method_name
from tests.alerted import something_is_wrong
from tests.conftest import port_giver
from tests.http_servers import Player, serving_http
from tests.site import JPEG, Box
from tests.test_web import serving

GETS = [operation for operation in OPERATIONS if operation.method == "GET"]


def loaded() -> Any:
    spec = importlib.util.spec_from_file_location("mb9k_client", FOLDER / "mb9k_client.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLIENT = loaded()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A box that is asked over a real connection."""
    box = Box(tmp_path_factory.mktemp("client"))
    with box.store.writing():
        something_is_wrong(box.store.alerts, box.clock.now)
    with closing(box), serving(box.app, port_giver()()) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(address: str) -> Any:
    return CLIENT.Box(address, "token of ann")


def test_every_operation_has_its_method_and_no_two_have_one() -> None:
    names = [method_name(operation.method, operation.path) for operation in OPERATIONS]
    assert len(names) == len(set(names)) > 40
    there = {name for name, _ in inspect.getmembers(CLIENT.Box, inspect.isfunction) if not name.startswith("_")}
    assert there == set(names)


@pytest.mark.parametrize("operation", GETS, ids=lambda operation: operation.path)
def test_every_question_is_answered(client: Any, operation: Any) -> None:
    ask = getattr(client, method_name("GET", operation.path))
    ids = [1 for _ in range(operation.path.count("{"))]
    if operation.files:
        with ask(*ids) as file:
            assert file.read()
    elif operation.answers is bytes:
        assert ask(*ids) == JPEG
    else:
        assert isinstance(ask(*ids), dict)


def test_what_is_asked_for_arrives_and_what_is_sent_is_done(client: Any) -> None:
    made = client.post_streams({"name": "Küche 2"})
    assert len(made["stream_key"]) == 20
    found = client.get_streams(search="küche 2")["streams"]
    assert [stream["id"] for stream in found] == [made["id"]]
    zones = [{"kind": "line", "name": "way in", "points": [[0.5, 0.9], [0.5, 0.1]]}]
    assert client.put_stream_zones(made["id"], {"zones": zones})["zones"][0]["today"] == {"in": 0, "out": 0}
    assert client.delete_stream(made["id"]) is None
    assert client.get_streams(search="küche 2")["streams"] == []
    assert client.get_detections(state="no_mask", limit=1)["detections"][0]["state"] == "no_mask"


def test_an_error_is_one_exception_with_the_sentence_of_the_box(address: str, client: Any) -> None:
    with pytest.raises(CLIENT.BoxError, match=r"has this name|already") as taken:
        client.post_streams({"name": "door"})
    assert taken.value.status == 409
    with pytest.raises(CLIENT.BoxError, match="This token is not known") as unknown:
        CLIENT.Box(address, "guessed").get_status()
    assert unknown.value.status == 401
    with pytest.raises(CLIENT.BoxError, match="limit must be from 1 to") as refused:
        client.get_detections(limit=1000)
    assert refused.value.status == 400


def test_a_box_that_is_not_there_or_is_something_else_is_the_same_exception(free_port: Callable[[], int]) -> None:
    with pytest.raises(CLIENT.BoxError, match="cannot be reached") as gone:
        CLIENT.Box(f"http://127.0.0.1:{free_port()}", "token").get_status()
    assert gone.value.status is None
    with serving_http(Foreign) as port, pytest.raises(CLIENT.BoxError, match="no box of mb9k"):
        CLIENT.Box(f"http://127.0.0.1:{port}").get_status()
    with pytest.raises(ValueError, match="begins with http"):
        CLIENT.Box("ftp://box")


class Foreign(Player):
    """Answers, but is no box. Leads away whoever asks it for streams, and notes which token it was sent."""

    tokens: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        """The answer."""
        self.tokens.append(self.headers["Authorization"])
        is_led_away = self.path.endswith("/streams")
        self.send_response(301 if is_led_away else 200)
        if is_led_away:
            self.send_header("Location", f"http://localhost:{self.server.server_port}/elsewhere")  # type: ignore[attr-defined]
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hm")


def test_a_token_is_not_taken_along_to_another_address() -> None:
    Foreign.tokens.clear()
    with serving_http(Foreign) as port, pytest.raises(CLIENT.BoxError, match="at another address: http://localhost"):
        CLIENT.Box(f"http://127.0.0.1:{port}", "mine").get_streams()
    assert Foreign.tokens == ["Bearer mine"]
