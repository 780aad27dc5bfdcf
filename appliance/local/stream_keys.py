"""A stream's key: making another one, and the page that shows it once, with what to type into which program."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from bottle import HTTPError, request

from appliance.accounts.guard import Visitor
from appliance.https import is_self_signed
from appliance.interfaces import main_address
from appliance.language import _
from appliance.local.pages import Site
from appliance.local.qr import qr_svg
from appliance.media import mediamtx
from appliance.rules import streams as rules
from appliance.secrets import digest
from appliance.store import Store, Stream
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.address import host_in, ip_in
from appliance.web.forms import see_other
from appliance.web.pages import Page

STANDARD_RTMP_PORT = 1935
STANDARD_RTMPS_PORT = 443
KEY_FRAME_S = 2
BITRATE_KBIT_S = 2500  # of 720p, at which a mask is seen well
FRAMES_PER_S = 25


@dataclass(frozen=True, slots=True)
class Servers:
    """What to type as server, `rtmp://box/live`: the first one is what most people should.

    is_self_signed: an encrypted one is among them, whose certificate OBS refuses. only_here: the page was opened by a
    name that no other machine knows, and none that others know was found.
    """

    addresses: tuple[str, ...]
    is_self_signed: bool
    only_here: bool


def add_routes(app: App, site: Site) -> None:
    """Ask, make, show."""

    @app.get("/streams/<stream_id:int>/new-key", access=Access.OWNER)
    def confirm_key(stream: Stream) -> Page:
        title = _("A new key for {stream}?", stream=stream.title)
        return site.pages.page("stream_cut.html", stream=stream, title=title, action="key", button=_("Make a new key"))

    @app.post("/streams/<stream_id:int>/key", access=Access.OWNER)
    def rotate_key(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        return to_key_page(site, stream.id, visitor, rules.rotate_key(store, stream.id), now)

    @app.get("/streams/<stream_id:int>/key", access=Access.OWNER)
    def key(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        shown = site.accounts.shown.of(f"stream {stream.id}", visitor.person.id, now)
        if shown is None or store.streams.with_key(digest(shown.secret), now) is None:
            words = _("This key is not shown any more. If nobody copied it, make a new one on the stream's page.")
            raise HTTPError(410, words)
        servers = servers_of(site)
        whole = f"{servers.addresses[0]}/{shown.secret}"
        grove = grove_link(whole, stream.title)
        return site.pages.page(
            "stream_key.html",
            stream=stream,
            shown=shown,
            servers=servers,
            whole=whole,
            ffmpeg=ffmpeg_line(whole),
            grove=grove,
            grove_qr=qr_svg(grove, _("QR code for Larix Broadcaster")),
            whole_qr=qr_svg(whole, _("QR code of the whole address")),
            key_frame_s=KEY_FRAME_S,
            bitrate=BITRATE_KBIT_S,
        )


def to_key_page(site: Site, stream_id: int, visitor: Visitor, key: str, now: Now) -> Page:
    """To the page that shows a key that was just made: reloading that page makes no other one."""
    site.accounts.shown.keep(f"stream {stream_id}", visitor.person.id, key, now)
    return see_other(f"/streams/{stream_id}/key")


def servers_of(site: Site) -> Servers:
    """Where streams are sent to, as whoever opened this page can reach it."""
    config = site.config
    host = public_host(site)
    found = [rtmp_server("rtmp", host, config.rtmp.port, STANDARD_RTMP_PORT)]
    has_rtmps = mediamtx.has_rtmps(config)
    warns = has_rtmps and is_self_signed(config)
    if has_rtmps:  # the first one is what people copy: OBS refuses a certificate that nobody signed
        found.insert(1 if warns else 0, rtmp_server("rtmps", host, config.rtmp.tls_port, STANDARD_RTMPS_PORT))
    return Servers(tuple(found), warns, is_loopback(host))


def rtmp_server(scheme: str, host: str, port: int, standard_port: int) -> str:
    """What to type as server: rtmp://box/live."""
    return f"{scheme}://{host}{'' if port == standard_port else f':{port}'}/live"


def public_host(site: Site) -> str:
    """The name people reach this box by: as configured, else the name of this page.

    Where that is one that only this machine knows, localhost, an address of its network instead, if it has one and
    listens there.
    """
    host = site.config.rtmp.public_host or site.pages.address.host
    host = host or host_in(request.headers.get("Host", "")) or ""
    if not is_loopback(host) or is_loopback(site.config.rtmp.host):
        return host
    known = main_address()
    return host if not known else f"[{known}]" if ":" in known else known


def is_loopback(host: str) -> bool:
    """Whether only this machine itself knows what is meant."""
    ip = ip_in(host)
    return ip.is_loopback if ip else host.lower().rstrip(".") in ("localhost", "")


def grove_link(whole: str, name: str) -> str:
    """What sets Larix Broadcaster up: the connection, pictures without sound, and how it encodes.

    whole: the address with the key. https://softvelum.com/larix/grove/
    """
    parts = {
        "conn[][url]": whole,
        "conn[][name]": name,
        "conn[][mode]": "v",
        "conn[][overwrite]": "on",
        "enc[vid][bitrate]": BITRATE_KBIT_S,
        "enc[vid][keyframe]": KEY_FRAME_S,
        "enc[vid][format]": "avc",
    }
    return "larix://set/v1?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parts.items())


def ffmpeg_line(whole: str) -> str:
    """A whole command that sends a file as a camera would: its own pace, a key frame every two seconds, no sound."""
    return (
        "ffmpeg -re -i video.mp4 -an -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p"
        f" -r {FRAMES_PER_S} -g {FRAMES_PER_S * KEY_FRAME_S} -b:v {BITRATE_KBIT_S}k -maxrate {BITRATE_KBIT_S}k"
        f' -bufsize {2 * BITRATE_KBIT_S}k -f flv "{whole}"'
    )
