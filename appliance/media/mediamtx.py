"""MediaMTX: its configuration, its command line, and a thin client of its API.

The embedded ingest speaks the same dialect, so the client serves both. Read for v1.20.1; unknown keys in its
configuration abort its start, so tests/test_mediamtx.py tries ours on a real binary.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from appliance.config import Config
from appliance.disk import Reserve
from appliance.errors import UserError
from appliance.files import replace_file
from appliance.loopback import USER, authorization
from appliance.secrets import digest, secret_from_file
from appliance.times import now

TIMEOUT_S = 2.0
ITEMS_PER_PAGE = 100
MAX_PAGES = 100
EMBEDDED_VERSION = "mb9k embedded"
Engine = Literal["mediamtx", "embedded"]
SILENCE_S = 5  # a publisher that sends nothing for this long is gone

# `live/KEY`, and `live//KEY`: what comes of rtmp://box/live/ with the slash that people type.
KEY_PATHS = r"^live//?([0-9a-zA-Z_-]{1,64})/?$"


def key_sha256(path: str) -> str | None:
    """The digest of the stream key in a path; None: there is none in it."""
    match = re.fullmatch(KEY_PATHS, path)  # `$` alone would take a line break, too
    return digest(match.group(1)) if match else None


class MediaError(Exception):
    """The ingest does not answer, or not as it should. Never quotes a path, which would tell a key."""


class NotRunning(MediaError):
    """Nobody listens where the ingest's API should be."""


@dataclass(frozen=True, slots=True)
class IngestPath:
    """Something that is published to the ingest. source_id: the connection that publishes it."""

    name: str
    available: bool
    source_id: str | None
    inbound_bytes: int


@dataclass(frozen=True, slots=True)
class Connection:
    """An RTMP connection. state: idle, publish or read. encrypted: it came by RTMPS."""

    id: str
    remote: str
    path: str
    state: str
    encrypted: bool = False


def find_binary(config: Config) -> str | None:
    """Where the MediaMTX binary is; None if it is nowhere."""
    return shutil.which(config.media.binary)


def engine(config: Config) -> Engine:
    """Which ingest this box has. Raises UserError if the one that the configuration names is not there."""
    if config.media.engine == "embedded":
        return "embedded"
    if find_binary(config):
        return "mediamtx"
    if config.media.engine == "auto":
        return "embedded"
    raise UserError(
        f"MediaMTX ({config.media.binary}) is not on PATH; install it, name its place in media.binary,"
        ' or set media.engine = "embedded"'
    )


def has_rtmps(config: Config) -> bool:
    """Whether publishers may come by RTMPS, which only MediaMTX speaks."""
    is_ours = config.media.engine == "mediamtx" or (config.media.engine == "auto" and find_binary(config) is not None)
    return config.rtmps_files is not None and is_ours


def configuration(config: Config, secret: str) -> dict[str, Any]:
    """MediaMTX's settings for this box: RTMP in, RTSP and API on loopback, everything else off.

    secret: the box's own, by which MediaMTX shows the gate who asks; the gate demands it of whoever asks MediaMTX.
    """
    loopback = "127.0.0.1"
    settings: dict[str, Any] = {
        # Every path, and with it every stream key: mediamtx_log.py reads it, looks for wrong addresses, and passes
        # no path on.
        "logLevel": "info",
        "logDestinations": ["stdout"],
        "readTimeout": f"{SILENCE_S}s",
        "writeTimeout": "10s",
        "authMethod": "http",
        # MediaMTX makes a header of it, and writes *** for it into its log.
        "authHTTPAddress": f"http://{USER}:{quote(secret, safe='')}@{loopback}:{config.media.gate_port}/auth",
        "authHTTPExclude": [],  # the gate is asked about everything, the API too
        "api": True,
        "apiAddress": f"{loopback}:{config.media.api_port}",
        "apiAllowOrigins": [],
        "metrics": False,
        "pprof": False,
        "playback": False,
        "rtsp": True,
        "rtspTransports": ["tcp"],
        "rtspAddress": f"{loopback}:{config.media.read_port}",
        "rtmp": True,
        "rtmpAddress": _address(config.rtmp.host, config.rtmp.port),
        "hls": False,
        "webrtc": False,
        "srt": False,
        "moq": False,
        # The first publisher stays: by default, whoever knows the key ends the connection of the one before.
        "pathDefaults": {"overridePublisher": False},
        # Every path that MediaMTX can take leads to the gate, so that a wrong address is seen, refused and explained.
        "paths": {f"~{KEY_PATHS}": {"source": "publisher"}, "all_others": {"source": "publisher"}},
    }
    if files := config.rtmps_files:
        settings |= {
            "rtmpEncryption": "optional",
            "rtmpsAddress": _address(config.rtmp.host, config.rtmp.tls_port),
            "rtmpServerCert": str(files[0]),
            "rtmpServerKey": str(files[1]),
        }
    return settings


def _address(host: str, port: int) -> str:
    return f":{port}" if host in ("", "0.0.0.0", "::") else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def write_config(config: Config, path: Path) -> None:
    """Write MediaMTX's configuration, all of it or nothing; it holds the box's secret. Raises OSError."""
    secret = secret_from_file(config.local_secret_path)
    text = json.dumps(configuration(config, secret), indent=2)  # JSON is YAML
    if path.exists() and path.read_text() == text:
        return  # a full disk keeps no ingest from starting again
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Reserve(config.state).spend(partial(replace_file, path, text))


def command(config: Config) -> list[str]:
    """The command line that runs MediaMTX for this box; writes its configuration. Raises UserError, OSError."""
    binary = find_binary(config)
    if binary is None:
        raise UserError(f"MediaMTX ({config.media.binary}) is not on PATH")
    if config.rtmps_files and not config.rtmp.tls_certificate:
        from appliance.https import Keeper  # late: every service imports us, and few need what signs certificates

        Keeper(config).refresh(now().utc)  # the site, which keeps it, may start after us; MediaMTX sees new files
    path = config.run / "mediamtx.yml"
    write_config(config, path)
    return [binary, str(path)]


def read_url(config: Config, running: Engine, path: str, secret: str) -> str:
    """Where our own watcher reads a path of the running ingest.

    It holds the stream key and the box's secret, which FFmpeg makes a header of: never log it, nor make it an argument.
    """
    where = f"{USER}:{quote(secret, safe='')}@127.0.0.1:{config.media.read_port}/{quote(path)}"
    return f"rtsp://{where}" if running == "mediamtx" else f"http://{where}.flv"


def _path(item: dict[str, Any]) -> IngestPath:
    """An item of the list of paths. Raises MediaError."""
    source, count = item.get("source"), item.get("inboundBytes", item.get("bytesReceived")) or 0
    if not isinstance(count, int):
        raise MediaError("the ingest's API counts bytes in something else than numbers")
    return IngestPath(
        name=str(item["name"]),
        available=bool(item.get("available", item.get("ready", False))),
        source_id=source.get("id") if isinstance(source, dict) else None,
        inbound_bytes=count,
    )


class Client:
    """What we ask of the ingest's API. Every method raises MediaError."""

    def __init__(self, port: int, secret: str) -> None:
        self.port = port
        self._headers = {"Authorization": authorization(secret)}

    def info(self) -> str:
        """The version of the ingest."""
        return str((self._request("GET", "/v3/info") or {}).get("version", ""))

    def engine(self) -> Engine:
        """Which ingest it is that answers."""
        return "embedded" if self.info() == EMBEDDED_VERSION else "mediamtx"

    def paths(self) -> list[IngestPath]:
        """What is being published just now."""
        return [_path(item) for item in self._items("/v3/paths/list") if "name" in item]

    def connections(self) -> list[Connection]:
        """Every RTMP and RTMPS connection."""
        return [
            Connection(
                id=str(item["id"]),
                remote=str(item.get("remoteAddr", "")),
                path=str(item.get("path", "")),
                state=str(item.get("state", "")),
                encrypted=kind == "rtmpsconns",
            )
            for kind in ("rtmpconns", "rtmpsconns")
            for item in self._items(f"/v3/{kind}/list")
            if "id" in item
        ]

    def kick(self, connection: Connection) -> None:
        """End a connection; that it is already gone is no error."""
        kind = "rtmpsconns" if connection.encrypted else "rtmpconns"
        self._request("POST", f"/v3/{kind}/kick/{quote(connection.id)}")

    def _items(self, path: str) -> Iterator[dict[str, Any]]:
        """The objects of a list, page by page."""
        for page in range(MAX_PAGES):
            answer = self._request("GET", f"{path}?itemsPerPage={ITEMS_PER_PAGE}&page={page}")
            if answer is None:  # a server that is off has no list
                return
            items, pages = answer.get("items") or [], answer.get("pageCount", 0)
            if not isinstance(items, list) or not isinstance(pages, int):
                raise MediaError("the ingest's API answered with something else than a list")
            yield from (item for item in items if isinstance(item, dict))
            if page + 1 >= pages:
                return
        raise MediaError("the ingest's API lists more than this box could ever take")

    def _request(self, method: str, path: str) -> dict[str, Any] | None:
        """The JSON answer; None for 404."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, headers=self._headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 404:
                return None
            if answer.status != 200:
                raise MediaError(f"the ingest's API answered {answer.status}")
            content = json.loads(body or b"{}")
            if not isinstance(content, dict):
                raise MediaError("the ingest's API answered something else than an object")
            return content
        except ConnectionRefusedError as error:
            raise NotRunning("the ingest is not running") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MediaError(f"the ingest's API does not answer ({type(error).__name__})") from error
        finally:
            connection.close()
