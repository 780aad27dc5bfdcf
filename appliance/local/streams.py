"""Streams: the list, one stream, its live preview, and what can be done with a click."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bottle import HTTPError, HTTPResponse, request, response

from appliance.accounts.guard import Visitor
from appliance.https import is_self_signed
from appliance.local.access import streams_of_others
from appliance.local.alerts import open_now, open_of
from appliance.local.arrivals import arrivals
from appliance.local.dashboard import period
from appliance.local.pages import Site
from appliance.local.trend_charts import last_day_chart
from appliance.local.words import kept
from appliance.local.zone_drawing import KINDS, drawing_of
from appliance.media import mediamtx
from appliance.previews import AGE_HEADER, Preview
from appliance.reception import box_at_fault, receptions
from appliance.rules import streams as rules
from appliance.secrets import digest
from appliance.store import DetectionFilter, Store, Stream
from appliance.store.measuring import calibrated, measured
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.address import host_in
from appliance.web.forms import query_value, see_other
from appliance.web.pages import Page
from appliance.web.shown import Shown

STANDARD_RTMP_PORT = 1935
STANDARD_RTMPS_PORT = 443
MARGIN, GAP = 20, 12  # of the square that shows the smallest face: to the edges of the picture, and to its text


@dataclass(frozen=True, slots=True)
class SmallestFace:
    """A square in the lower left corner of a picture, in thousandths of its width. height: of the picture."""

    side: float
    height: float
    left: float = MARGIN

    @property
    def top(self) -> float:
        """Where the square begins."""
        return round(self.bottom - self.side, 1)

    @property
    def bottom(self) -> float:
        """Where it ends, and where the text stands."""
        return round(self.height - MARGIN, 1)

    @property
    def text_left(self) -> float:
        """Where the text begins."""
        return round(self.left + self.side + GAP, 1)


def smallest_face(stream: Stream) -> SmallestFace | None:
    """How large the smallest face that is judged is in the picture; None where that is not known."""
    px = stream.health.smallest_face_px
    if not px or not stream.width or not stream.height:
        return None
    return SmallestFace(round(1000 * px / stream.width, 1), round(1000 * stream.height / stream.width, 1))


def add_routes(app: App, site: Site) -> None:
    """See streams, and switch, re-key and delete one."""
    _add_routes_that_cut_off(app, site)
    _add_deletions(app, site)
    _add_picture(app, site)

    @app.get("/streams", access=Access.SIGNED_IN)
    def streams(store: Store, visitor: Visitor, now: Now) -> Page:
        search = query_value("search")[:100]
        found = store.streams.all(now, visitor.sees_only, search)
        today = store.trends.by_stream([stream.id for stream in found], store.trends.midnight_utc(now.utc))
        received = receptions(store, found, now, site.reserve.is_needed())
        refusals = store.senders.lost(8) if visitor.is_admin else []
        return site.pages.page(
            "streams.html",
            streams=found,
            today=today,
            search=search,
            others=streams_of_others(store, visitor),
            refusals=refusals,
            receptions=received,
            unknown=box_at_fault(received.values()),
            alerted={alert.address for alert in open_now(store, visitor, found)},
            now=now,
        )

    @app.get("/streams/<stream_id:int>", access=Access.OWNER)
    def stream(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        only = DetectionFilter(stream_id=stream.id)
        today = DetectionFilter(stream_id=stream.id, since_utc=store.trends.midnight_utc(now.utc))
        arrived = arrivals(store, only)
        detections = store.detections.page(only, limit=8, up_to_id=arrived.up_to_id)
        site.viewing.page(store, visitor, now, detections)
        zones = store.zones.of(stream.id)
        return site.pages.page(
            "stream.html",
            drawing=drawing_of(zones, stream.width, stream.height),
            kinds=KINDS,
            crossed=store.crossings.today([stream.id], now.utc).get(stream.id, {}),
            stream=stream,
            received=receptions(store, [stream], now, site.reserve.is_needed())[stream.id],
            periods=[
                replace(period(store, title, of), measured=measured(store, [stream.id], of.since_utc))
                for title, of in (("Today", today), ("All", only))
            ],
            calibrated=calibrated(store, stream.id),
            detections=detections,
            arrived=arrived,
            renews_from=f"?up_to={arrived.up_to_id}" if detections else None,
            alerts=open_of(store, stream.id),
            smallest_face=smallest_face(stream),
            kept=_kept(site, stream),
            statistics=store.privacy.statistics_only(),
            chart=last_day_chart(store, now.utc, stream.id),
            zone=store.trends.zone(),
            has_preview=newest_preview(site, store, stream) is not None,
            learned_utc=store.views.get(stream.id).learned_utc,
            now=now,
        )


def _add_picture(app: App, site: Site) -> None:
    """The live picture, and what it is said to show."""

    @app.get("/streams/<stream_id:int>/preview.jpg", access=Access.OWNER, bearer=True)
    def preview(store: Store, visitor: Visitor, stream: Stream, now: Now) -> HTTPResponse:
        newest = newest_preview(site, store, stream)
        if newest is None:
            return HTTPResponse(status=204)
        site.viewing.preview(store, visitor, now, rules.named(store, stream.id))
        return HTTPResponse(newest.jpeg, headers={"Content-Type": "image/jpeg", AGE_HEADER: f"{newest.age_s:.1f}"})


def _add_routes_that_cut_off(app: App, site: Site) -> None:
    """Another key, and switching on and off: what ends a publisher asks first."""

    @app.get("/streams/<stream_id:int>/new-key", access=Access.OWNER)
    def confirm_key(stream: Stream) -> Page:
        title = f"A new key for {stream.title}?"
        return site.pages.page("stream_cut.html", stream=stream, title=title, action="key", button="Make a new key")

    @app.post("/streams/<stream_id:int>/key", access=Access.OWNER)
    def rotate_key(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        return to_key_page(site, stream.id, visitor, rules.rotate_key(store, stream.id), now)

    @app.get("/streams/<stream_id:int>/key", access=Access.OWNER)
    def key(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        shown = site.accounts.shown.of(f"stream {stream.id}", visitor.person.id, now)
        if shown is None or store.streams.with_key(digest(shown.secret), now) is None:
            words = "This key is not shown any more. If nobody copied it, make a new one on the stream's page."
            raise HTTPError(410, words)
        return _key_page(site, stream, shown)

    @app.post("/streams/<stream_id:int>/activate", access=Access.OWNER)
    def activate(store: Store, visitor: Visitor, stream: Stream) -> Page:
        rules.change(store, visitor.person, stream, active=True)
        return see_other(f"/streams/{stream.id}")

    @app.post("/streams/<stream_id:int>/view", access=Access.OWNER)
    def learn_view(store: Store, stream: Stream) -> Page:
        rules.learn_view(store, stream)
        return see_other(f"/streams/{stream.id}")

    @app.get("/streams/<stream_id:int>/deactivate", access=Access.OWNER)
    def confirm_deactivation(stream: Stream) -> Page:
        title = f"Deactivate {stream.title}?"
        return site.pages.page("stream_cut.html", stream=stream, title=title, action="deactivate", button="Deactivate")

    @app.post("/streams/<stream_id:int>/deactivate", access=Access.OWNER)
    def deactivate(store: Store, visitor: Visitor, stream: Stream) -> Page:
        rules.change(store, visitor.person, stream, active=False)
        return see_other(f"/streams/{stream.id}")


def _add_deletions(app: App, site: Site) -> None:
    """Of a stream, and of its images alone: each asks first and gives a receipt."""

    @app.get("/streams/<stream_id:int>/delete", access=Access.OWNER)
    def confirm_deletion(store: Store, stream: Stream) -> Page:
        total = store.trends.counts(DetectionFilter(stream_id=stream.id)).total
        images = store.detections.count_images(stream.id)
        return site.pages.page("stream_delete.html", stream=stream, total=total, images=images)

    @app.post("/streams/<stream_id:int>/delete", access=Access.OWNER)
    def delete(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        receipt_id = rules.delete(store, site.images, site.previews, visitor.person, stream, now)
        return see_other(f"/receipts/{receipt_id}")

    @app.get("/streams/<stream_id:int>/delete-images", access=Access.OWNER)
    def confirm_deletion_of_images(store: Store, stream: Stream) -> Page:
        images = store.detections.count_images(stream.id)
        return site.pages.page("stream_delete_images.html", stream=stream, images=images)

    @app.post("/streams/<stream_id:int>/delete-images", access=Access.OWNER)
    def delete_images(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        receipt_id = rules.delete_images(store, site.images, visitor.person, stream, now)
        return see_other(f"/receipts/{receipt_id}")


def _kept(site: Site, stream: Stream) -> str:
    images = site.config.images
    return kept(stream.keeping.mode(images.keep, images.pixelate_eyes), stream.keeping, images.keep_days)


def to_key_page(site: Site, stream_id: int, visitor: Visitor, key: str, now: Now) -> Page:
    """To the page that shows a key that was just made: reloading that page makes no other one."""
    site.accounts.shown.keep(f"stream {stream_id}", visitor.person.id, key, now)
    return see_other(f"/streams/{stream_id}/key")


def _key_page(site: Site, stream: Stream, shown: Shown) -> Page:
    """The key, with what to type where."""
    rtmp = site.config.rtmp
    servers = [rtmp_server("rtmp", public_host(site), rtmp.port, STANDARD_RTMP_PORT)]
    has_rtmps = mediamtx.has_rtmps(site.config)
    warns = has_rtmps and is_self_signed(site.config)
    if has_rtmps:  # the first one is what people copy: OBS refuses a certificate that nobody signed
        secure = rtmp_server("rtmps", public_host(site), rtmp.tls_port, STANDARD_RTMPS_PORT)
        servers.insert(1 if warns else 0, secure)
    return site.pages.page("stream_key.html", stream=stream, shown=shown, servers=servers, is_self_signed=warns)


def rtmp_server(scheme: str, host: str, port: int, standard_port: int) -> str:
    """What to type as server: rtmp://box/live."""
    return f"{scheme}://{host}{'' if port == standard_port else f':{port}'}/live"


def public_host(site: Site) -> str:
    """The name people reach this box by: as configured, else the name of this page."""
    return site.config.rtmp.public_host or site.pages.address.host or host_in(request.headers.get("Host", "")) or ""


def newest_preview(site: Site, store: Store, stream: Stream) -> Preview | None:
    """The newest preview of a live stream; tells the watcher that somebody wants to see it."""
    if not stream.live or store.privacy.statistics_only():
        return None
    try:
        site.previews.request(stream.id)
    except OSError:
        response.set_header("X-Preview", "no room for previews")
        return None
    return site.previews.read(stream.id)
