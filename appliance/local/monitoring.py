"""The page Health, for people, and /metrics, for a Prometheus server with a token of its own."""

from __future__ import annotations

import logging
from typing import Any

from bottle import HTTPResponse

from appliance.accounts.audit import Action, record
from appliance.accounts.guard import Visitor
from appliance.accounts.metrics_token import METRICS, MetricsToken
from appliance.board import Throttling
from appliance.language import _
from appliance.local.alerts import open_now
from appliance.local.health import BoxHealth, look, model_id
from appliance.local.metrics import metrics
from appliance.local.pages import Site
from appliance.local.troubles import WHAT_COUNTS, troubles
from appliance.reception import receptions
from appliance.service import SERVICES
from appliance.store import Store
from appliance.times import Now
from appliance.version import version
from appliance.web.access import Access, App
from appliance.web.forms import see_other
from appliance.web.metrics import answer
from appliance.web.pages import Page

log = logging.getLogger(__name__)
PAGE = "/box-health"
REFRESH_S = 5


def add_routes(app: App, site: Site) -> None:
    """Look, and let a program look."""
    token = MetricsToken(site.config.metrics_token_path)

    @app.get(PAGE, access=Access.SIGNED_IN)
    def health_page(store: Store, visitor: Visitor, now: Now) -> Page:
        shown = site.accounts.new_metrics_token(visitor.person.id, now)
        how = look(site, store, now, visitor.sees_only)
        received = receptions(store, how.streams, now, how.disk.is_full)
        troubled = troubles(how.streams, received, open_now(store, visitor, how.streams))
        return _page(site, how, token, receptions=received, troubled=troubled, shown=shown, refresh=REFRESH_S)

    @app.post(f"{PAGE}/token", access=Access.ADMIN)
    def make_token(store: Store, visitor: Visitor, now: Now) -> Page:
        record(store, Action.TOKEN_MADE, METRICS)  # first: none is made that is not on record
        site.accounts.shown.keep(METRICS, visitor.person.id, token.make(), now)
        log.warning("%s made another metrics token", visitor.name)
        return see_other(f"{PAGE}?token=new")

    @app.post(f"{PAGE}/token/forget", access=Access.ADMIN)
    def forget_token(store: Store, visitor: Visitor) -> Page:
        record(store, Action.TOKEN_REVOKED, METRICS)
        token.forget()
        log.warning("%s ended the metrics token", visitor.name)
        return site.pages.done(PAGE, _("The metrics token has ended."))

    @app.get("/metrics", access=Access.METRICS)
    def figures(store: Store, now: Now) -> HTTPResponse:
        """For a program with the metrics token, and for admins."""
        how = look(site, store, now)
        today = store.trends.by_stream([stream.id for stream in how.streams], store.trends.midnight_utc(now.utc))
        return answer(metrics(site.config.box, version(), model_id(site.config), how, today))


def _page(site: Site, how: BoxHealth, token: MetricsToken, **values: Any) -> Page:
    shown = {
        "how": how,
        "services": [(service, how.service(service.name)) for service in SERVICES],
        "watcher": how.service("watch"),
        "model": model_id(site.config),
        "version": version(),
        "throttling": Throttling,
        "what_counts": WHAT_COUNTS,
        "token_made_utc": token.made_utc(),
        "metrics_address": site.pages.address.prefix + "/metrics",
    }
    return site.pages.page("health.html", **{**shown, **values})
