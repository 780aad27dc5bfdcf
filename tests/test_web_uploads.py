"""Files in requests: onto the disk as they come, never in memory, and gone with a request that is not answered well."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from bottle import request

from appliance.https import server_context
from appliance.web import server
from appliance.web.access import Access, App
from appliance.web.uploads import CUT_SHORT, NO_FILE, Arrival, Body, arrival_now
from tests.boxes import until
from tests.conftest import REPOSITORY
from tests.test_https_server import pair, trusting
from tests.test_web import answer_to, says, serving

CONTENT = bytes(range(256)) * 4096 + b"\r\n--not the end--\r\n"  # a megabyte, and what looks like a boundary


class Place:
    """Where files are taken: in a folder, below /up/."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        folder.mkdir()

    def __call__(self, path: str, _size_bytes: int) -> Arrival | None:
        if path == "/up/no-room":
            return Arrival(None, "There is no room.")
        self.count += 1
        return Arrival(self.folder / f"{self.count}.part") if path.startswith("/up/") else None

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "parts")


@pytest.fixture
def app(tmp_path: Path) -> App:
    made = App(lambda error: f"error {error.status_code}")

    @made.post("/up/<word>", access=Access.ANYONE)
    def take(word: str) -> str:
        arrival = arrival_now()
        if arrival is None:
            return "no arrival"
        if arrival.problem or word == "leave":
            return arrival.problem
        arrival.taken().rename(tmp_path / "taken")
        return f"{request.forms.csrf} {arrival.name} {arrival.size_bytes} {len(request.body.read())}"

    return made


@pytest.fixture
def site(app: App, place: Place, free_port: Callable[[], int]) -> Iterator[str]:
    with serving(app, free_port(), admit=place) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_file_of_a_form_is_on_the_disk_and_its_fields_are_read_as_ever(
    site: str, place: Place, tmp_path: Path
) -> None:
    answer = httpx.post(f"{site}/up/take", data={"csrf": "t0ken"}, files={"bundle": ("a.mb9k", CONTENT)})
    csrf, name, size_bytes, _ = answer.text.split()
    assert (csrf, name, int(size_bytes)) == ("t0ken", "a.mb9k", len(CONTENT))
    assert (tmp_path / "taken").read_bytes() == CONTENT
    assert (tmp_path / "taken").stat().st_mode & 0o777 == 0o600
    assert place.files == []


def test_a_file_that_is_the_whole_body_is_taken_as_it_is(site: str, tmp_path: Path) -> None:
    answer = httpx.post(f"{site}/up/take", content=CONTENT, headers={"Content-Type": "application/octet-stream"})
    assert answer.text.split() == [str(len(CONTENT)), "0"]
    assert (tmp_path / "taken").read_bytes() == CONTENT


def test_over_tls_it_is_the_same_file(app: App, place: Place, tmp_path: Path, free_port: Callable[[], int]) -> None:
    files = pair(tmp_path)
    with serving(app, free_port(), tls=lambda: server_context(files), admit=place) as port:
        context: ssl.SSLContext = trusting(files)
        httpx.post(f"https://localhost:{port}/up/take", files={"bundle": ("a.mb9k", CONTENT)}, verify=context)
    assert hashlib.sha256((tmp_path / "taken").read_bytes()).digest() == hashlib.sha256(CONTENT).digest()


def test_who_waits_for_the_word_to_go_on_gets_it(site: str, tmp_path: Path) -> None:
    head = (
        f"POST /up/take HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
    )
    with says(int(site.rpartition(":")[2]), head.encode()) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(CONTENT)
        until(lambda: (tmp_path / "taken").exists(), 30, "the file")
    assert (tmp_path / "taken").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/up/leave", "/up/no-room"])
def test_a_file_that_nobody_takes_is_gone(site: str, place: Place, path: str) -> None:
    answer = httpx.post(f"{site}{path}", files={"bundle": ("a.mb9k", CONTENT)})
    assert answer.text == ("There is no room." if path == "/up/no-room" else "")
    until(lambda: not place.files, 30, "the part to go")


def test_elsewhere_a_long_body_is_refused_as_before(site: str) -> None:
    with pytest.raises(httpx.HTTPError):
        assert httpx.post(f"{site}/elsewhere", content=CONTENT).status_code == 413
        raise httpx.HTTPError("it was refused by an answer")  # or by a reset: the client was still sending


def test_chunks_without_a_length_are_no_file(site: str) -> None:
    port = int(site.rpartition(":")[2])
    head = b"POST /up/take HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert answer_to(port, head + b"3\r\nabc\r\n0\r\n\r\n").endswith(b"no arrival")


def begin(port: int, size_bytes: int) -> socket.socket:
    """A file of which the first 100 kB were sent."""
    head = f"POST /up/take HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size_bytes}\r\n\r\n".encode()
    return says(port, head + b"x" * 100_000)


def test_a_client_that_goes_away_leaves_nothing(site: str, place: Place) -> None:
    connection = begin(int(site.rpartition(":")[2]), 10_000_000)
    until(lambda: bool(place.files), 30, "the part")
    connection.close()
    until(lambda: not place.files, 30, "the part to go")


def test_one_that_stops_sending_is_ended_and_one_that_goes_on_is_not(
    site: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FILE_TIMEOUT_S", 2)
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 1)
    port = int(site.rpartition(":")[2])
    with begin(port, 10_000_000), begin(port, 180_000) as going_on:
        for _ in range(16):  # longer than any other request may take
            time.sleep(0.25)
            going_on.sendall(b"y" * 5000)
        said = b""
        while b"180000" not in said:
            piece = going_on.recv(65_536)  # head and body may come apart
            assert piece, said
            said += piece
        until(lambda: not place.files, 30, "the other part to go")


def test_one_that_drips_is_ended(site: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FILE_TIMEOUT_S", 1)
    monkeypatch.setattr(server, "FILE_BYTES_PER_S", 1_000_000)
    with begin(int(site.rpartition(":")[2]), 10_000_000) as connection, pytest.raises(ConnectionError):
        for _ in range(200):
            time.sleep(0.1)
            connection.sendall(b"y")
    until(lambda: not place.files, 30, "the part to go")


def body_of(arrival: Arrival, content: bytes, size_bytes: int) -> Body:
    body = Body(arrival, 'multipart/form-data; boundary="edge"')
    for start in range(0, len(content), size_bytes):
        body.append(content[start : start + size_bytes])
    body.finish()
    return body


HEAD = b'--edge\r\nContent-Disposition: form-data; name="csrf"\r\n\r\nt\r\n--edge\r\nContent-Disposition: form-data; name="b"; filename="n"\r\nContent-Type: a/b\r\n\r\n'  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("size_bytes", [1, 3, 7, 4000])
def test_wherever_the_pieces_end_the_file_is_whole(tmp_path: Path, size_bytes: int) -> None:
    content = b"\r\n--edg\r\n--edge\r\n" + bytes(range(256)) * 3
    arrival = Arrival(tmp_path / "part")
    body = body_of(arrival, HEAD + content + b"\r\n--edge--\r\n", size_bytes)
    assert arrival.problem == "" and arrival.taken().read_bytes() == content
    assert body.getfile().read() == HEAD + b"\r\n--edge--\r\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEAD + b"half of it", CUT_SHORT),
        (HEAD[:90], NO_FILE),
        (b"x" * 100_000, NO_FILE),
        (HEAD[:-4] + b"y" * 50_000, NO_FILE),
    ],
)
def test_a_form_that_is_none_brings_no_file(tmp_path: Path, content: bytes, said: str) -> None:
    arrival = Arrival(tmp_path / "part")
    body_of(arrival, content, 1000)
    assert arrival.problem == said and not (tmp_path / "part").exists()
    with pytest.raises(FileNotFoundError):
        arrival.taken()


MEMORY = """
import resource, sys, threading
from pathlib import Path
from appliance.web.access import Access, App
from appliance.web.server import make_server
from appliance.web.uploads import Arrival, arrival_now
app = App(lambda error: "error")
@app.post("/up", access=Access.ANYONE)
def take():
    arrival_now().taken()
    return str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
server = make_server(app, "127.0.0.1", int(sys.argv[1]), admit=lambda path, size: Arrival(Path(sys.argv[2])))
server.prepare()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
server.serve()
"""


def test_the_memory_does_not_grow_with_the_file(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port, size_bytes, sparse = free_port(), 300_000_000, tmp_path / "sparse"
    sparse.touch()
    os.truncate(sparse, size_bytes)
    command = [sys.executable, "-c", MEMORY, str(port), str(tmp_path / "part")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout
        before_kb = int(process.stdout.readline())
        with sparse.open("rb") as content:
            answer = httpx.post(f"http://127.0.0.1:{port}/up", content=content, timeout=60)
        process.terminate()
    assert (tmp_path / "part").stat().st_size == size_bytes
    assert int(answer.text) - before_kb < 20_000
