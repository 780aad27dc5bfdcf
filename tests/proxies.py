"""A real nginx and a real Caddy with the configurations of docs/proxy.md, before a real `mb9k serve`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from appliance.accounts.people import Role
from appliance.config import load
from appliance.secrets import digest
from appliance.store import Store
from appliance.times import now
from tests.boxes import START_S, end, is_listening, until
from tests.conftest import REPOSITORY
from tests.site import PASSWORD_HASH

NAME = "masks.example.org"
_SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```", (REPOSITORY / "docs" / "proxy.md").read_text(), re.M | re.S)
NGINX, NGINX_LOCATION = (text for language, text in _SNIPPETS if language == "nginx")
CADDY, CADDY_PATH = (text for language, text in _SNIPPETS if language == "caddy")
WEB = next(text for language, text in _SNIPPETS if language == "toml")

_LOCATION = re.compile(r"^    location .*?^    }\n", re.M | re.S)
NGINX_DEFAULTS = re.sub(r" *proxy_set_header.*\n", "", NGINX)
NGINX_PATH = _LOCATION.sub(lambda _: NGINX_LOCATION, NGINX)
NGINX_STRIPS = NGINX_PATH.replace(":8000;", ":8000/;")
CADDY_STRIPS = CADDY_PATH.replace("reverse_proxy /box3/* ", "handle_path /box3/* {\n        reverse_proxy ").replace(
    ":8000\n", ":8000\n    }\n"
)


@dataclass(frozen=True)
class Proxied:
    """A box behind a proxy. address: as people open it; port: where the proxy listens on loopback."""

    address: str
    port: int
    log: Path
    store: Store
    until_the_end: ExitStack

    def client(self, source: str = "127.0.0.1") -> httpx.Client:
        """A client that finds the name of the address on this machine, and asks from `source`."""
        transport = _Here(verify=False, local_address=source)
        return self.until_the_end.enter_context(httpx.Client(transport=transport, base_url=self.address, timeout=30))


class _Here(httpx.HTTPTransport):
    """Leads every name to this machine; the certificate and the Host header are of the name."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = request.url.copy_with(host="127.0.0.1")
        extensions = {**request.extensions, "sni_hostname": request.url.host}
        headers, stream = request.headers, request.stream
        return super().handle_request(
            httpx.Request(request.method, here, headers=headers, stream=stream, extensions=extensions)
        )


@contextmanager
def proxied(
    folder: Path, free_port: Callable[[], int], program: str, snippet: str, path: str = ""
) -> Iterator[Proxied]:
    """A box with the [web] of the document behind `program` with this configuration, at https://NAME:port/path."""
    binary = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        pytest.skip(f"{program} is not installed (apt install {program})")
    box_port, port = free_port(), free_port()
    address = f"https://{NAME}:{port}{path}"
    store = _box(folder, box_port, address)
    text = snippet.replace("127.0.0.1:8000", f"127.0.0.1:{box_port}")
    command = _nginx(binary, folder, text, port) if program == "nginx" else _caddy(binary, folder, text, port)
    serve = [sys.executable, "-m", "appliance.cli", "--config", str(folder / "mb9k.toml"), "serve"]
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    started = []
    try:
        for words, of_port in ((serve, box_port), (command, port)):
            with (folder / f"{Path(words[0]).name}.log").open("wb") as log:
                started.append(subprocess.Popen(words, stdout=log, stderr=log, cwd=REPOSITORY, env=environment))
            until(lambda at=of_port: is_listening(at) or started[-1].poll() is not None, START_S, str(words))  # type: ignore[misc]
        with ExitStack() as until_the_end:
            there = Proxied(address, port, folder / f"{Path(serve[0]).name}.log", store, until_the_end)
            client = there.client()
            until(lambda: _answers(client), START_S, "the proxy has its certificate and answers")
            yield there
    finally:
        for process in reversed(started):
            end(process)
        for log_path in folder.glob("*.log"):
            print(log_path.name, log_path.read_text(errors="replace"))  # pytest shows it where a test failed
        store.close()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False


def _box(folder: Path, port: int, address: str) -> Store:
    wiring: dict[str, Any] = msgspec.toml.decode(WEB)
    wiring["web"].update(port=port, base_url=address)
    (folder / "mb9k.toml").write_bytes(msgspec.toml.encode({"state_dir": str(folder / "state"), **wiring}))
    store = Store.open(load(folder / "mb9k.toml").store_path)
    at = now().utc
    store.people.add("ann", PASSWORD_HASH, Role.ADMIN, at)
    store.people.add_token(1, "test", digest("token of ann"), at, at + 86400)
    store.streams.add_with_key(1, "door", digest("key 1"), at)
    return store


def _nginx(binary: str, folder: Path, text: str, port: int) -> list[str]:
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out",
         str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl/masks", str(folder))
    folders = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    conf = folder / "nginx.conf"
    conf.write_text(
        f"{user}pid {folder}/nginx.pid;\nerror_log stderr;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}{text}}}\n"
    )
    return [binary, "-c", str(conf), "-p", str(folder), "-g", "daemon off;"]


def _caddy(binary: str, folder: Path, text: str, port: int) -> list[str]:
    # A certificate of its own making, and no port but the one of this test; the rest is the document's.
    head = "{\n    admin off\n    local_certs\n    skip_install_trust\n    auto_https disable_redirects\n}\n"
    conf = folder / "Caddyfile"
    conf.write_text(head + text.replace(NAME, f"{NAME}:{port}", 1).replace("{\n", "{\n    bind 127.0.0.1\n", 1))
    return [binary, "run", "--config", str(conf), "--adapter", "caddyfile"]
