"""What this box keeps of people: of each stream, or statistics only. For admins."""

from __future__ import annotations

from typing import Any

from appliance.accounts.guard import Visitor
from appliance.errors import InputError, UserError
from appliance.keeping import Keeping
from appliance.language import _
from appliance.local.pages import Site
from appliance.local.words import kept
from appliance.rules import privacy as rules
from appliance.store import Store
from appliance.store.privacy import LEAST, SPAN_S
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, see_other
from appliance.web.pages import Page


def add_routes(app: App, site: Site) -> None:
    """See what is kept, and switch."""

    @app.get("/settings/privacy", access=Access.ADMIN)
    def privacy(store: Store, now: Now) -> Page:
        return _page(site, store, now)

    @app.get("/settings/privacy/statistics", access=Access.ADMIN)
    def confirm(store: Store) -> Page:
        return _confirmation(site, store)

    @app.post("/settings/privacy/statistics", access=Access.ADMIN)
    def keep_statistics_only(store: Store, visitor: Visitor, now: Now) -> Page:
        try:
            if field("confirmed") != site.config.box:
                raise InputError(_("Type {box} to go on, the name of this box.", box=site.config.box))
            receipt_id = rules.keep_statistics_only(site.config, store, visitor.person, now)
        except UserError as error:
            return _confirmation(site, store, problem=error, wrong_field="confirmed")
        return see_other(f"/receipts/{receipt_id}")

    @app.post("/settings/privacy/detections", access=Access.ADMIN)
    def keep_detections(store: Store) -> Page:
        rules.keep_detections(store)
        return site.pages.done("/settings/privacy", _("The box keeps detections again."))


def _page(site: Site, store: Store, now: Now) -> Page:
    images = site.config.images
    of_streams = [
        (stream, kept(stream.keeping.mode(images.keep, images.pixelate_eyes), stream.keeping, images.keep_days))
        for stream in store.streams.all(now)
    ]
    box = kept(Keeping().mode(images.keep, images.pixelate_eyes), Keeping(), images.keep_days)
    return site.pages.page("privacy.html", statistics=store.privacy.statistics_only(), of_streams=of_streams, box=box)


def _confirmation(site: Site, store: Store, **values: Any) -> Page:
    return site.pages.page(
        "privacy_statistics.html",
        loss=rules.loss(site.config, store),
        least=LEAST,
        minutes=SPAN_S // 60,
        box=site.config.box,
        **values,
    )
