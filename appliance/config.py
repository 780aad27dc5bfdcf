"""How this box is wired: mb9k.toml as frozen values. People, streams and keys live in the store, not here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from appliance.errors import UserError

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
BOX_NAME = r"^[a-z0-9-]{1,40}$"


class ConfigError(UserError):
    """The configuration file is missing or wrong; the message says where and what to do."""


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site on the box."""

    host: str = "0.0.0.0"
    port: Port = 8000
    https: bool = False  # true behind a proxy that speaks HTTPS: cookies then never travel in the clear


class Rtmp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where publishers send to."""

    host: str = "0.0.0.0"
    port: Port = 1935
    public_host: str = ""  # what to show people as the server's name; empty: the name they opened the page by
    tls_port: Port = 1936
    tls_certificate: str = ""  # PEM files; RTMPS is on when both are given (MediaMTX only)
    tls_key: str = ""


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ingest. Everything but RTMP itself listens on loopback only."""

    engine: Literal["auto", "mediamtx", "embedded"] = "auto"  # auto: MediaMTX where its binary is found
    binary: str = "mediamtx"
    gate_port: Port = 8001
    api_port: Port = 9997
    metrics_port: Port = 9998
    read_port: Port = 8554  # RTSP of MediaMTX, or HTTP-FLV of the embedded ingest


class Vision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How streams are judged."""

    model: str = ""  # a name in models/manifest.toml; empty: its default
    frames_per_second: Annotated[float, msgspec.Meta(gt=0, le=30)] = 5.0
    lost_s: Annotated[float, msgspec.Meta(gt=0, le=30)] = 2.5  # out of view for longer: a new person


class Images(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Images of detections."""

    keep: bool = True  # false: no image is ever written
    pixelate_eyes: bool = True
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    min_free_mb: Annotated[int, msgspec.Meta(ge=0)] = 200  # below this, the oldest day goes


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; every field has a default, so an empty file is a working box."""

    box: Annotated[str, msgspec.Meta(pattern=BOX_NAME)] = "box"
    state_dir: str = "/var/lib/mb9k"
    run_dir: str = ""  # small short-lived files (live previews); best on tmpfs; empty: state_dir/run
    web: Web = Web()
    rtmp: Rtmp = Rtmp()
    media: Media = Media()
    vision: Vision = Vision()
    images: Images = Images()

    @property
    def state(self) -> Path:
        """The folder this box keeps everything in."""
        return Path(self.state_dir)

    @property
    def run(self) -> Path:
        """The folder for short-lived files."""
        return Path(self.run_dir) if self.run_dir else self.state / "run"

    @property
    def store_path(self) -> Path:
        """The SQLite file."""
        return self.state / "mb9k.db"

    @property
    def images_dir(self) -> Path:
        """The folder of the image day files."""
        return self.state / "images"

    @property
    def claim_code_path(self) -> Path:
        """The file with the code for making the first admin; gone once it was used."""
        return self.state / "claim-code"

    @property
    def reader_token_path(self) -> Path:
        """The file with the token by which our own watcher may read streams (and nobody else may)."""
        return self.state / "reader-token"


def load(path: Path) -> Config:
    """Read and check the configuration file. Raises ConfigError."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Config)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; make one, it may be empty, or name another with --config") from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
