"""How this box is wired: mb9k.toml as frozen values. People, streams and keys live in the store, not here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from appliance.errors import UserError
from appliance.sections import (
    BOX_NAME,
    BOX_SPEAKS,
    Backup,
    Fleet,
    Images,
    Language,
    Machine,
    Media,
    Mqtt,
    Rtmp,
    Screen,
    Slots,
    Sources,
    Update,
    Vision,
    Web,
    about,
)


class ConfigError(UserError):
    """The configuration file is missing or wrong; the message says where and what to do."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; every field has a default, so an empty file is a working box."""

    box: Annotated[str, Meta(pattern=BOX_NAME), about("The name of this box")] = "box"
    state_dir: Annotated[str, about("The folder of the record, the images and the box's own secrets")] = "/var/lib/mb9k"
    run_dir: Annotated[
        str, about("The folder of live previews and mediamtx.yml, best on tmpfs; empty: run/ in state_dir")
    ] = ""
    language: Annotated[Language, about(BOX_SPEAKS)] = "en"
    web: Web = Web()
    rtmp: Rtmp = Rtmp()
    media: Media = Media()
    vision: Vision = Vision()
    sources: Sources = Sources()
    images: Images = Images()
    backup: Backup = Backup()
    mqtt: Mqtt = Mqtt()
    fleet: Fleet = Fleet()
    update: Update = Update()
    screen: Screen = Screen()
    machine: Machine = Machine()
    slots: Slots = Slots()

    @property
    def state(self) -> Path:
        """The folder this box keeps everything in."""
        return Path(self.state_dir)

    @property
    def run(self) -> Path:
        """The folder for short-lived files."""
        return Path(self.run_dir) if self.run_dir else self.state / "run"

    @property
    def source_folders(self) -> tuple[Path, ...]:
        """The folders whose files may be sources."""
        return tuple(self.state / folder for folder in self.sources.folders)

    @property
    def store_path(self) -> Path:
        """The SQLite file."""
        return self.state / "mb9k.db"

    @property
    def images_dir(self) -> Path:
        """The folder of the image day files."""
        return self.state / "images"

    @property
    def engines_dir(self) -> Path:
        """The folder of the engines that the box built for its GPU."""
        return self.state / "engines"

    @property
    def backups_dir(self) -> Path:
        """The folder of the backups of the store."""
        return Path(self.backup.folder) if self.backup.folder else self.state / "backups"

    @property
    def uploads_dir(self) -> Path:
        """The folder of bundles that people gave to the page."""
        return self.state / "uploads"

    @property
    def claim_code_path(self) -> Path:
        """The file with the code for making the first admin; gone once it was used."""
        return self.state / "claim-code"

    @property
    def metrics_token_path(self) -> Path:
        """The file with the digest of the token for /metrics; not there: no program may ask."""
        return self.state / "metrics-token"

    @property
    def title_path(self) -> Path:
        """The file with what people call this box on its pages; not there: by its name."""
        return self.state / "title"

    @property
    def tls_dir(self) -> Path:
        """The folder of the certificates that the box makes or was given, with their keys."""
        return self.state / "tls"

    @property
    def served_certificate_path(self) -> Path:
        """What is shown to browsers and publishers: private key, certificate and its chain, in one file (https.py)."""
        return self.tls_dir / "served.pem"

    @property
    def rtmps_files(self) -> tuple[Path, Path] | None:
        """Certificate and key for RTMPS; None: there is none."""
        if self.rtmp.tls_certificate and self.rtmp.tls_key:
            return Path(self.rtmp.tls_certificate), Path(self.rtmp.tls_key)
        return (self.served_certificate_path, self.served_certificate_path) if self.web.https else None

    @property
    def local_secret_path(self) -> Path:
        """The file with the secret by which our services know each other on loopback (see loopback.py)."""
        return self.state / "local-secret"


def load(path: Path) -> Config:
    """Read and check the configuration file of a box. Raises ConfigError."""
    return decode(path, Config)


Whole = TypeVar("Whole", bound=msgspec.Struct)


def decode(path: Path, shape: type[Whole]) -> Whole:
    """Read and check a configuration file. Raises ConfigError."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=shape)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; make one, it may be empty, or name another with --config") from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def settings(section: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """A section's settings by name, in order, each as JSON schema tells it: type, range, default, description."""
    _, schemas = msgspec.json.schema_components([section])
    properties: dict[str, dict[str, Any]] = schemas[section.__name__]["properties"]
    return {name: schema for name, schema in properties.items() if "description" in schema}


def sections(config: msgspec.Struct) -> Iterator[tuple[str, msgspec.Struct]]:
    """The parts of a configuration by name; first, without a name, what stands above all sections."""
    yield "", config
    yield from (
        (name, part) for name, part in msgspec.structs.asdict(config).items() if isinstance(part, msgspec.Struct)
    )


def as_toml(config: msgspec.Struct) -> str:
    """The configuration as a TOML file with every setting in it, its explanation above it."""
    text = ""
    for name, section in sections(config):
        text += f"\n# {section.__doc__}\n[{name}]\n" if name else ""
        for setting, schema in settings(type(section)).items():
            # JSON writes these values as TOML does, but for one character.
            value = json.dumps(getattr(section, setting), ensure_ascii=False).replace("\x7f", "\\u007f")
            text += f"# {schema['description']}\n{setting} = {value}\n"
    return text
