"""The sections of mb9k.toml, as frozen values. What about() says is what `mb9k config` and the docs say."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65535)]
BOX_NAME = r"^[a-z0-9-]{1,40}$"
Language = Literal["en", "de", "es", "fr"]  # as language.py has them
_PAGES = "pages where the browser wishes for none of these languages"
SPEAKS = f"What alerts, mails and reports speak, and {_PAGES}"
BOX_SPEAKS = f"What alerts, mails, reports and the box's own screen speak, and {_PAGES}"
Verb = Literal["restart", "shut_down", "name", "time_zone", "ssh", "factory_reset", "wifi", "update"]


def about(meaning: str) -> Meta:
    """The explanation of a setting, one line."""
    return Meta(description=meaning)


def _is_base_url(text: str) -> bool:
    """Whether this is an address without `/` at its end, and without user, query or anything to be escaped."""
    host = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253})"
    return re.fullmatch(rf"https?://{host}(:[0-9]{{1,5}})?(/[A-Za-z0-9._~-]+)*", text) is not None


class WebSite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a site listens, of a box or of a centre."""

    host: Annotated[str, about("The address the site listens on; 0.0.0.0: all of this machine's")] = "0.0.0.0"
    port: Annotated[Port, about("The site's port")] = 8000
    base_url: Annotated[str, about("The site's address if a proxy stands before it: https://box.example.org/box3")] = ""
    names: Annotated[tuple[str, ...], about("Further host names that the site answers to; any other is refused")] = ()
    proxies: Annotated[
        tuple[str, ...], about("Addresses or networks of the proxies whose X-Forwarded-For is believed")
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what would only fail later, or quietly. Raises ValueError."""
        if self.base_url and not _is_base_url(self.base_url):
            raise ValueError(
                f"base_url: {self.base_url!r} is not like https://box.example.org or http://proxy:8080/box3,"
                " without a / at its end"
            )
        for name in self.names:
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", name):
                raise ValueError(f"names: {name!r} is no host name; write it without http:// and without a port")
        for proxy in self.proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(
                    f"proxies: {proxy!r} is neither an address, such as 127.0.0.1, nor a network, such as 10.0.0.0/24"
                ) from error


class Web(WebSite, frozen=True, forbid_unknown_fields=True):
    """The site on the box."""

    https: Annotated[
        bool, about("Whether the site speaks HTTPS on its port, with a certificate that the box makes")
    ] = False
    http_port: Annotated[
        int, Meta(ge=0, le=65535), about("With https: a port where plain HTTP is led to HTTPS, such as 80; 0: none")
    ] = 0
    tls_certificate: Annotated[
        str, about("PEM file with a certificate of your own and its chain, for https; renewed files are taken up")
    ] = ""
    tls_key: Annotated[str, about("PEM file; the private key of tls_certificate, readable by the box")] = ""

    def __post_init__(self) -> None:
        """Refuse what would only fail later, or quietly. Raises ValueError."""
        super().__post_init__()
        if bool(self.tls_certificate) != bool(self.tls_key):
            missing = "tls_key" if self.tls_certificate else "tls_certificate"
            raise ValueError(f"{missing}: the certificate and its private key belong together; set both or neither")
        if self.https and self.base_url.startswith("http://"):
            raise ValueError(f"base_url: {self.base_url!r} is plain HTTP, but https is on; write https://")
        if self.https and self.http_port == self.port:
            raise ValueError("http_port: this is the port of HTTPS already; set another one, or 0")


class Rtmp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where streams are published to."""

    host: Annotated[str, about("The address the ingest listens on; 0.0.0.0: all of this machine's")] = "0.0.0.0"
    port: Annotated[Port, about("The port for RTMP")] = 1935
    public_host: Annotated[str, about("The server's name as people are shown it; empty: as they opened the page")] = ""
    tls_port: Annotated[Port, about("The port for RTMPS (MediaMTX only)")] = 1936
    tls_certificate: Annotated[
        str,
        about("PEM file for RTMPS, with tls_key; empty: with web.https, RTMPS has the site's certificate"),
    ] = ""
    tls_key: Annotated[str, about("PEM file; the private key of tls_certificate")] = ""


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ingest. Everything but RTMP itself listens on loopback only."""

    engine: Annotated[Literal["auto", "mediamtx", "embedded"], about("auto: MediaMTX where its binary is found")] = (
        "auto"
    )
    binary: Annotated[str, about("The MediaMTX program: a name on PATH, or its path")] = "mediamtx"
    gate_port: Annotated[Port, about("The port of the gate, which says who may publish")] = 8001
    api_port: Annotated[Port, about("The port of the ingest's API")] = 9997
    read_port: Annotated[Port, about("Where the watcher reads: RTSP of MediaMTX, HTTP-FLV of the embedded one")] = 8554


class Vision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How streams are judged."""

    model: Annotated[
        str,
        about("mb9k-320: for a small board such as a Pi; mb9k-416: where there is room; empty: the manifest's default"),
    ] = ""
    backend: Annotated[
        Literal["auto", "onnx", "tensorrt", "jetson"],
        about("What judges: auto (TensorRT where it and a GPU answer, else onnx), onnx (the CPU), tensorrt or jetson"),
    ] = "auto"
    decoder: Annotated[
        Literal["auto", "ffmpeg"],
        about(
            "What decodes. auto: H.264 by the chip of a Jetson, where it shows what FFmpeg does; ffmpeg: the processor"
        ),
    ] = "auto"
    frames_per_second: Annotated[
        float, Meta(gt=0, le=30), about("How many frames of each stream are looked at, where something new moves")
    ] = 10.0
    cpu_share: Annotated[
        float, Meta(gt=0, le=1), about("Share of this machine's processors that watching may take; 1: all of them")
    ] = 0.8
    lost_s: Annotated[float, Meta(gt=0, le=30), about("Out of view for longer: counted as a new person")] = 2.5


class Sources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the box may fetch streams from, beside the cameras in its network."""

    folders: Annotated[
        tuple[str, ...], about("Folders whose video files an admin may make a source; without / they lie in state_dir")
    ] = ("videos",)
    own_ports: Annotated[
        tuple[Port, ...], about("Ports of this box that sources may lead to: those of a camera server that runs on it")
    ] = ()


class Images(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Images of detections."""

    keep: Annotated[bool, about("Whether images are kept; false: none is ever written")] = True
    pixelate_eyes: Annotated[
        bool, about("Pixelate the eyes of faces before an image is written, where a stream has no choice of its own")
    ] = True
    scene: Annotated[
        bool, about("Keep beside each image the scene around the face and the face at three other moments, all small")
    ] = True
    keep_days: Annotated[
        int, Meta(ge=1, le=3650), about("For how many days images are kept at most; a stream may choose fewer")
    ] = 30
    min_free_mb: Annotated[int, Meta(ge=0), about("With less free space (MB), the oldest day's images go")] = 200


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Copies of the record, made while the box runs: people, streams, detections; no images."""

    keep: Annotated[int, Meta(ge=0, le=1000), about("How many copies are kept; 0: the box makes none by itself")] = 7
    every_h: Annotated[float, Meta(gt=0, le=8760), about("Hours that the box runs between two copies")] = 24
    folder: Annotated[str, about("Where copies go, best on another disk; empty: backups/ in state_dir")] = ""


class Update(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Other versions of this program, from signed bundles: `mb9k update FILE`."""

    releases: Annotated[
        str, about("The folder of installed versions, with the link `current` to the one that runs")
    ] = "/var/lib/mb9k-releases"
    authority: Annotated[str, about("PEM file of the authorities whose signers may sign bundles")] = (
        "/etc/mb9k/update-authority.pem"
    )
    health_s: Annotated[
        float, Meta(ge=1, le=3600), about("How long a new version may take to be well before the old one runs again")
    ] = 300
    upload_mb: Annotated[
        int, Meta(ge=1, le=100_000), about("The largest bundle (MB) that the page takes, or fetches from an address")
    ] = 2000


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only root may do on this machine, asked by the page."""

    socket: Annotated[
        str, about("Where mb9k-machine.socket listens; empty: a box set up by hand, whose page asks root for nothing")
    ] = ""
    may: Annotated[tuple[Verb, ...], about("What the page's admins may have root do, of these words")] = (
        "restart",
        "shut_down",
        "name",
        "time_zone",
        "ssh",
        "factory_reset",
        "wifi",
        "update",
    )
    ssh_dir: Annotated[str, about("The folder of the ssh server that the page turns on: its settings, its keys")] = (
        "/etc/mb9k/ssh"
    )
    reset_file: Annotated[
        str,
        about("On an image: the file that has all data wiped at the next start; empty: a reset empties state_dir"),
    ] = ""


class Slots(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole system in two slots, as an image of ours has it: `mb9k update FILE` with a bundle of RAUC's."""

    loader: Annotated[
        Literal["none", "auto", "grub", "tryboot", "jetson"],
        about("The bootloader that starts one of them; auto: tryboot on a Raspberry Pi, else grub; none: no slots"),
    ] = "none"
    grubenv: Annotated[str, about("The file in which GRUB keeps which slot it starts")] = "/efi/grubenv"
    autoboot: Annotated[str, about("The file in which a Raspberry Pi finds which slot it starts")] = "/efi/autoboot.txt"
    folder: Annotated[str, about("Where both slots read how far an update of the system is; root's alone")] = (
        "/data/update"
    )


class Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this box tells a centre, once it has joined one."""

    join_code: Annotated[
        str, about("A join code from the centre; a box that belongs to none joins by it when it starts")
    ] = ""
    stream_names: Annotated[bool, about("Whether the centre is told the names of streams; false: numbers only")] = True
    commands: Annotated[
        bool, about("Whether the centre may have a service restarted, a stream key rotated, sums sent again")
    ] = True
    allow_updates: Annotated[
        bool, about("Whether the centre may have the box updated, too: by bundles that update.authority lets in")
    ] = False


class Mqtt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A broker on site: the day's figures for Home Assistant, and for whoever subscribes. The fleet needs none."""

    host: Annotated[str, about("The broker's name or address; empty: none")] = ""
    port: Annotated[Port, about("The broker's port; with TLS mostly 8883")] = 1883
    user: Annotated[str, about("The user name there; empty: none")] = ""
    password_file: Annotated[str, about("File whose first line is the password, readable by the box alone")] = ""
    tls: Annotated[bool, about("Whether the connection is encrypted, and the broker's certificate verified")] = False
    tls_authority: Annotated[str, about("PEM file of who signed that certificate; empty: those the system trusts")] = ""
    topic: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,3}$"), about("What its topics begin with")
    ] = "mb9k"
    discovery: Annotated[
        str, Meta(pattern=r"^([A-Za-z0-9_-]{1,40})?$"), about("Home Assistant's discovery prefix; empty: not announced")
    ] = "homeassistant"

    def __post_init__(self) -> None:
        """Refuse what would only fail later. Raises ValueError."""
        label = "[A-Za-z0-9_-]{1,63}"  # of others Python's resolver says nothing that could be caught by its kind
        if self.host and not re.fullmatch(rf"(?=.{{1,253}}$){label}(\.{label})*\.?|[0-9a-fA-F:.]{{2,45}}", self.host):
            raise ValueError(f"host: {self.host!r} is no host name or address; write it without mqtt:// and port")
        if self.password_file and not self.user:
            raise ValueError("password_file: there is no user whose password it is; set user, too")


class Screen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The screen of a box that is nothing else: `mb9k screen`."""

    present: Annotated[
        bool, about("Whether `mb9k screen` draws on this box's screen: the page Settings then has a switch for counts")
    ] = False
    counts: Annotated[
        bool, about("Whether it shows, once the box was claimed, today's counts and the names of LIVE streams")
    ] = False
