"""What the box's own pages share, beside the page kit and the accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from appliance.accounts.guard import visitor_now
from appliance.accounts.metrics_token import MetricsToken
from appliance.accounts.people import DEVICE_S
from appliance.accounts.site import VIEWS as ACCOUNTS_VIEWS
from appliance.accounts.site import Accounts
from appliance.alerts.site import VIEWS as ALERTS_VIEWS
from appliance.config import Config
from appliance.disk import Reserve
from appliance.https import Keeper
from appliance.images import ImageFiles
from appliance.language import N_
from appliance.local import words
from appliance.local.update_desk import Desk
from appliance.local.viewing import Viewing
from appliance.previews import Previews
from appliance.reports.site import VIEWS as REPORTS_VIEWS
from appliance.rules.boxes import box_title
from appliance.store import explain_trouble
from appliance.web.address import site_address
from appliance.web.cookies import Cookie
from appliance.web.downloads import Downloads
from appliance.web.pages import Link, Pages
from appliance.web.render import Renderer
from appliance.web.static import Static

VIEWS = Path(__file__).parent / "views"
DOWNLOADS_AT_ONCE = 4  # of the site's 16 threads
NAVIGATION = (
    Link("/", N_("Home")),
    Link("/streams", N_("Streams")),
    Link("/trends", N_("Trends"), also=("/report",)),
    Link("/detections", N_("Detections"), also=("/export",)),
    Link("/box-health", N_("Health"), also=("/alerts",)),
    Link("/people", N_("People"), admin_only=True),
    Link("/fleet", N_("Fleet"), admin_only=True),
    Link("/settings", N_("Settings"), admin_only=True, also=("/updates", "/audit", "/receipts")),
    Link("/account", N_("Account")),
)


@dataclass(frozen=True)
class Site:
    """What the pages share. All of it may be used by several threads at once."""

    config: Config
    pages: Pages
    accounts: Accounts
    images: ImageFiles
    previews: Previews
    reserve: Reserve
    desk: Desk
    downloads: Downloads
    keeper: Keeper | None = None
    viewing: Viewing = field(default_factory=Viewing)

    @classmethod
    def made_from(cls, config: Config, keeper: Keeper | None = None) -> Site:
        """The site of a box. keeper: of its certificate; None: it speaks plain HTTP."""
        address = site_address(config.web, [config.box], config.rtmp.public_host, config.web.https)
        https, path = address.https, address.prefix or "/"
        pages = Pages(
            name=config.box,
            noun="box",
            renderer=Renderer(VIEWS, ACCOUNTS_VIEWS, REPORTS_VIEWS, ALERTS_VIEWS),
            static=Static(),
            form_cookie=Cookie("mb9k_form", https, path),
            viewer=visitor_now,
            navigation=NAVIGATION,
            values={"words": words, "is_self_signed": keeper.is_self_signed if keeper else None},
            address=address,
            title=lambda: box_title(config),
        )
        session_cookie = Cookie("mb9k_session", https, path)
        device_cookie = Cookie("mb9k_device", https, path, keep_s=int(DEVICE_S))
        return cls(
            config=config,
            pages=pages,
            accounts=Accounts(
                pages,
                session_cookie,
                device_cookie,
                config.claim_code_path,
                explain_trouble,
                MetricsToken(config.metrics_token_path),
            ),
            images=ImageFiles(config.images_dir),
            previews=Previews(config.run),
            reserve=Reserve(config.state),
            desk=Desk(config),
            downloads=Downloads(DOWNLOADS_AT_ONCE),
            keeper=keeper,
        )
