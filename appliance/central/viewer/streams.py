"""One stream of a box: persons over any range."""

from __future__ import annotations

from appliance.accounts.guard import Visitor
from appliance.central.store import CentralStore, Scope, Stream
from appliance.central.store.sums import total
from appliance.central.viewer import ranges, series
from appliance.central.viewer.pages import Centre
from appliance.rates import compliance
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.pages import Page


def add_routes(app: App, centre: Centre) -> None:
    """The page of a stream."""

    @app.get("/streams/<stream_id:int>", access=Access.OWNER)
    def stream_page(store: CentralStore, visitor: Visitor, now: Now, stream: Stream) -> Page:
        asked = ranges.asked(now.utc, store.zone())
        steps = store.sums.series(Scope(visitor.sees_only, stream_id=stream.id), asked.span)
        sums = total(steps.values())
        box = store.boxes.get(stream.box_id, visitor.sees_only)
        return centre.pages.page(
            "stream.html",
            problem=asked.problem,
            stream=stream,
            is_live=box is not None and stream.number in box.live,
            asked=asked,
            sums=sums,
            rate=compliance(sums.counts),
            chart=series.chart(steps, asked.span, now.utc, stream.title, of_one_stream=True),
            rate_chart=series.rate_chart(steps, asked.span, now.utc, stream.title),
            length_s=min(now.utc, asked.span.until_utc) - asked.span.since_utc,
        )
