"""Reports by mail of this box: what sends them is told here which box it is."""

from __future__ import annotations

from appliance.config import Config
from appliance.reports.of_box import OfBox, knows_time
from appliance.reports.sending import Site
from appliance.rules.boxes import box_title
from appliance.store import Store


def site_of_box(config: Config) -> Site[Store]:
    """The box as a sender of reports: `Sender(site_of_box(config)).step(now())`, every minute or so."""
    return Site(
        folder=config.state,
        open_store=lambda: Store.open_existing(config.store_path),
        title=lambda: box_title(config),
        source=lambda store, plan, _now: OfBox(store, plan.subjects),
        zone=lambda store: store.trends.zone(),
        knows_time=knows_time,
        address=config.web.base_url,
        language=config.language,
    )
