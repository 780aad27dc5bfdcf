"""Why a broker on site cannot be told, in words: real failures of real connections, to a real mosquitto."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance import certificates
from appliance.certificates import Authority
from appliance.sections import Mqtt
from appliance.sync import reasons
from appliance.sync.on_site import OnSite
from tests.boxes import until
from tests.brokers import running_broker
from tests.test_on_site import BOX

DAY_S = 86_400.0
NOT_YET = ssl.SSLCertVerificationError(1, "odd")
NOT_YET.verify_code = 9


def said(words: str, **settings: Any) -> None:
    """Wait until the connection with these settings says so."""
    on_site = OnSite(Mqtt(**{"host": "127.0.0.1", **settings}), BOX)
    on_site.start()
    try:
        until(lambda: words in (on_site.problem or ""), 30, f"it says: {words}")
    finally:
        on_site.stop()


@contextmanager
def broker_with_tls(folder: Path, port: int, name: str = "localhost", ended_s: float = -9 * DAY_S) -> Iterator[str]:
    """A mosquitto that speaks TLS; the PEM file of who signed its certificate. ended_s: how long ago it ended."""
    folder.mkdir()
    authority, _ = Authority.make("site", time.time() - 400 * DAY_S)
    key = certificates.new_key()
    signed = authority.sign_server(key, [name], time.time() - ended_s, days=0)
    for file, text in (("ca.pem", authority.certificate), ("cert.pem", signed.pem), ("key.pem", key.decode())):
        (folder / file).write_text(text)
    wiring = f"listener {port} 127.0.0.1\nallow_anonymous true\n"
    wiring += f"certfile {folder / 'cert.pem'}\nkeyfile {folder / 'key.pem'}\n"
    with running_broker(folder, port, wiring):
        yield str(folder / "ca.pem")


def test_a_name_that_does_not_resolve() -> None:
    said("its name does not resolve", host="broker.invalid")


def test_a_port_at_which_nothing_listens(free_port: Callable[[], int]) -> None:
    said("takes no connections", port=free_port())


def test_a_broker_that_wants_tls(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    with broker_with_tls(tmp_path / "broker", port):
        said("whether it wants TLS", port=port)


def test_a_broker_without_tls(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    with running_broker(tmp_path / "broker", port):
        said("whether it speaks TLS", port=port, tls=True)


@pytest.mark.parametrize(
    ("certificate", "trusted", "words"),
    [
        ({}, True, "is told"),
        ({}, False, "is not trusted"),
        ({"name": "elsewhere"}, True, "is for another name"),
        ({"ended_s": DAY_S}, True, "has expired"),
    ],
)
def test_a_certificate(
    tmp_path: Path, free_port: Callable[[], int], certificate: dict[str, Any], trusted: bool, words: str
) -> None:
    port = free_port()
    with broker_with_tls(tmp_path / "broker", port, **certificate) as authority:
        trusts = authority if trusted else ""
        settings: dict[str, Any] = {"host": "localhost", "port": port, "tls": True, "tls_authority": trusts}
        if words == "is told":
            on_site = OnSite(Mqtt(**settings), BOX)
            on_site.start()
            until(lambda: on_site.problem is None, 30, "it is connected")
            on_site.stop()
        else:
            said(words, **settings)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NOT_YET, "is not valid yet; the box's clock says 1970-01-01"),
        (TimeoutError(), "does not answer"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "there is no way to it"),
        (ConnectionResetError(), "whether it wants TLS"),
        (ssl.SSLError(1, "[SSL: UNKNOWN] odd"), "TLS with it fails"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (socket.gaierror(-2, "Name or service not known"), "its name does not resolve"),
    ],
)
def test_every_error_has_words(error: OSError, words: str) -> None:
    assert words in reasons.of_site(error, "broker:1883", False, 0.0)
