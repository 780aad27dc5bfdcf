"""One stream, its live preview, and what can be done with a click."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bottle import HTTPResponse, response

from appliance.accounts.guard import Visitor
from appliance.language import N_, _
from appliance.local.alerts import open_of
from appliance.local.arrivals import arrivals
from appliance.local.dashboard import period
from appliance.local.pages import Site
from appliance.local.trend_charts import begins_at_start, today_charts, today_range
from appliance.local.words import kept
from appliance.local.zone_drawing import KINDS, drawing_of
from appliance.previews import AGE_HEADER, Preview
from appliance.reception import receptions
from appliance.rules import streams as rules
from appliance.store import DetectionFilter, Store, Stream
from appliance.store.measuring import calibrated, measured
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import see_other
from appliance.web.pages import Page

FACES_HEADER = (
    "X-Picture-Faces"  # what is marked in this very picture: [[state, left, top, right, bottom], ...] in its px
)
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
    """See streams, and switch and delete one."""
    _add_switches(app, site)
    _add_deletions(app, site)
    _add_picture(app, site)

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
                for title, of in ((N_("Today"), today), (N_("In all"), only))
            ],
            calibrated=calibrated(store, stream.id),
            detections=detections,
            arrived=arrived,
            renews_from=f"?up_to={arrived.up_to_id}" if detections else None,
            alerts=open_of(store, stream.id),
            smallest_face=smallest_face(stream),
            kept=_kept(site, stream),
            statistics=store.privacy.statistics_only(),
            charts=today_charts(store, now.utc, stream.id),
            is_early=begins_at_start(today_range(store, now.utc, stream.id), now.utc),
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
        told = {AGE_HEADER: f"{newest.age_s:.1f}", FACES_HEADER: newest.faces_json}
        return HTTPResponse(newest.jpeg, headers={"Content-Type": "image/jpeg", **told})


def _add_switches(app: App, site: Site) -> None:
    """Switching on and off: what ends a publisher asks first."""

    @app.post("/streams/<stream_id:int>/activate", access=Access.OWNER)
    def activate(store: Store, visitor: Visitor, stream: Stream) -> Page:
        rules.change(store, visitor.person, stream, active=True)
        return site.pages.done(f"/streams/{stream.id}", _("The stream {name} is active again.", name=stream.name))

    @app.post("/streams/<stream_id:int>/view", access=Access.OWNER)
    def learn_view(store: Store, stream: Stream) -> Page:
        rules.learn_view(store, stream)
        return site.pages.done(f"/streams/{stream.id}", _("The box learns the view of this camera again."))

    @app.get("/streams/<stream_id:int>/deactivate", access=Access.OWNER)
    def confirm_deactivation(stream: Stream) -> Page:
        title = _("Deactivate {stream}?", stream=stream.title)
        return site.pages.page(
            "stream_cut.html", stream=stream, title=title, action="deactivate", button=_("Deactivate")
        )

    @app.post("/streams/<stream_id:int>/deactivate", access=Access.OWNER)
    def deactivate(store: Store, visitor: Visitor, stream: Stream) -> Page:
        rules.change(store, visitor.person, stream, active=False)
        return site.pages.done(f"/streams/{stream.id}", _("The stream {name} was deactivated.", name=stream.name))


def _add_deletions(app: App, site: Site) -> None:
    """Of a stream, and of its images alone: each asks first and gives a receipt."""

    @app.get("/streams/<stream_id:int>/delete", access=Access.OWNER)
    def confirm_deletion(store: Store, stream: Stream) -> Page:
        total = store.trends.counts(DetectionFilter(stream_id=stream.id)).total
        images = store.detections.count_images(stream.id)
        takes_long = total > rules.AT_ONCE
        return site.pages.page("stream_delete.html", stream=stream, total=total, images=images, takes_long=takes_long)

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
