"""What the centre's own pages share, beside the page kit and the accounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottle import HTTPError

from appliance.accounts.guard import Visitor, visitor_now
from appliance.accounts.metrics_token import MetricsToken
from appliance.accounts.people import DEVICE_S
from appliance.accounts.site import VIEWS as ACCOUNTS_VIEWS
from appliance.accounts.site import Accounts
from appliance.alerts.site import VIEWS as ALERTS_VIEWS
from appliance.central.config import CentralConfig
from appliance.central.store import CentralStore, explain_trouble
from appliance.central.viewer import words
from appliance.language import N_, _
from appliance.reports.site import VIEWS as REPORTS_VIEWS
from appliance.times import Now
from appliance.web.address import site_address
from appliance.web.cookies import Cookie
from appliance.web.downloads import Downloads
from appliance.web.pages import Link, Pages
from appliance.web.render import Renderer
from appliance.web.static import Static

DOWNLOADS_AT_ONCE = 2  # of the site's 16 threads, and of its 8 connections to PostgreSQL
VIEWS = Path(__file__).parent / "views"
NAVIGATION = (
    Link("/", N_("Fleet"), also=("/boxes", "/streams", "/map", "/add-box")),
    Link("/sites", N_("Sites")),
    Link("/compare", N_("Compare"), also=("/export", "/report")),
    Link("/alerts", N_("Alerts")),
    Link("/events", N_("Events"), admin_only=True, also=("/letters",)),
    Link("/people", N_("People"), admin_only=True),
    Link("/audit", N_("Audit"), admin_only=True),
    Link("/account", N_("Account")),
)

NO_SUCH = {
    "box": N_("There is no such box, or it is not among the sites that you see."),
    "stream": N_("There is no such stream, or it is not among the sites that you see."),
    "site": N_("There is no such site, or it is not among the sites that you see."),
}


@dataclass(frozen=True)
class Centre:
    """What the pages share. All of it may be used by several threads at once."""

    config: CentralConfig
    pages: Pages
    accounts: Accounts
    downloads: Downloads
    open_store: Callable[[], CentralStore]

    @classmethod
    def made_from(cls, config: CentralConfig, open_store: Callable[[], CentralStore]) -> Centre:
        """The site of a centre. open_store: another connection to its database.

        Its cookies have names of their own: a box's site may run on the same machine.
        """
        address = site_address(config.web, [], config.broker.public_host)
        https, path = address.https, address.prefix or "/"
        pages = Pages(
            name=config.name,
            noun="centre",
            renderer=Renderer(VIEWS, ACCOUNTS_VIEWS, ALERTS_VIEWS, REPORTS_VIEWS),
            static=Static(),
            form_cookie=Cookie("mb9k_centre_form", https, path),
            viewer=visitor_now,
            navigation=NAVIGATION,
            values={"words": words},
            address=address,
        )
        session_cookie = Cookie("mb9k_centre_session", https, path)
        device_cookie = Cookie("mb9k_centre_device", https, path, keep_s=int(DEVICE_S))
        return cls(
            config=config,
            pages=pages,
            downloads=Downloads(DOWNLOADS_AT_ONCE),
            open_store=open_store,
            accounts=Accounts(
                pages,
                session_cookie,
                device_cookie,
                config.claim_code_path,
                explain_trouble,
                MetricsToken(config.metrics_token_path),
            ),
        )


def owned(store: CentralStore, _now: Now, visitor: Visitor, address: Mapping[str, Any]) -> dict[str, Any]:
    """What an OWNER route names: a box, a stream or a site that this person sees.

    Raises HTTPError 404 both where there is none and where it is not theirs to see: nobody learns which.
    """
    found: dict[str, Any] = {}
    person = visitor.sees_only
    if "box_id" in address:
        found["box"] = store.boxes.get(str(address["box_id"]), person)
    if "stream_id" in address:
        found["stream"] = store.boxes.stream(address["stream_id"], person)
    if "site_id" in address:
        found["site"] = store.sites.get(address["site_id"], person)
    for noun, value in found.items():
        if value is None:
            raise HTTPError(404, _(NO_SUCH[noun]))
    return found
