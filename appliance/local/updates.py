"""Updates from the page, for admins: a bundle sent or fetched, what it would change, and how the update goes."""

from __future__ import annotations

import logging
from typing import Any

from appliance.accounts.guard import Visitor
from appliance.errors import UserError
from appliance.language import N_, _
from appliance.local.health import version
from appliance.local.pages import Site
from appliance.rules import updates as rules
from appliance.times import Now
from appliance.update.journal import Progress, Step
from appliance.update.words import line_of_plan, who
from appliance.web.access import Access, App, wants_json
from appliance.web.forms import field, see_other
from appliance.web.pages import Page
from appliance.web.uploads import arrival_now

log = logging.getLogger(__name__)
OUTCOMES_SHOWN = 10
BY_HAND = N_("On this machine updates are made by hand: `sudo mb9k update FILE`, with the bundle as FILE.")
STEPS = {
    Step.BUILDING: N_("Make {after}, and try it on a copy of the record"),
    Step.STOPPING: N_("Stop the services"),
    Step.COPYING: N_("Copy the record"),
    Step.SWITCHING: N_("Change over"),
    Step.CHECKING: N_("Start {after}, and see whether it is well"),
    Step.SETTLING: N_("Tidy up"),
}
BACK_STEPS = {**STEPS, Step.BUILDING: N_("Try {after} on a copy of the record")}


def add_routes(app: App, site: Site) -> None:
    """See, send, fetch, begin, go back."""
    desk = site.desk
    app.admit = desk.admit

    @app.get("/updates", access=Access.ADMIN)
    def updates(now: Now) -> Page:
        return _page(site, now)

    @app.post("/updates/upload/<_ticket>", access=Access.ADMIN, bearer=True)
    def take(_ticket: str, now: Now, visitor: Visitor) -> Page:
        arrival = arrival_now()
        return _done(site, now, lambda: desk.keep(arrival, arrival.name if arrival else "", visitor.name, now.utc))

    @app.post("/updates/fetch", access=Access.ADMIN)
    def fetch(now: Now, visitor: Visitor) -> Page:
        address = field("address")
        return _done(site, now, lambda: desk.begin_fetch(address, visitor.name), address=address)

    @app.post("/updates/fetch/stop", access=Access.ADMIN)
    def stop_fetch(now: Now) -> Page:
        return _done(site, now, desk.end_fetch)

    @app.post("/updates/forget", access=Access.ADMIN)
    def forget(now: Now) -> Page:
        return _done(site, now, desk.forget)

    @app.post("/updates/start", access=Access.ADMIN)
    def start(now: Now, visitor: Visitor) -> Page:
        log.warning("%s has the box updated", visitor.name)
        return _done(site, now, lambda: rules.start(site.config, desk.uploads, visitor.name, now.utc))

    @app.post("/updates/back", access=Access.ADMIN)
    def back(now: Now, visitor: Visitor) -> Page:
        log.warning("%s has the box go back to the release before", visitor.name)
        return _done(site, now, lambda: rules.back(site.config, visitor.name, now.utc))


def steps(progress: Progress) -> list[tuple[str, str]]:
    """The steps of an update that is under way: each in words, and whether it is `done`, `now` or `later`."""
    order, there = list(STEPS), progress.step
    at = order.index(there) if there in order else -1
    states = ["done" if number < at else "now" if number == at else "later" for number in range(len(order))]
    words = STEPS if progress.is_new else BACK_STEPS
    return [(_(words[step], after=progress.after), state) for step, state in zip(order, states, strict=True)]


def _done(site: Site, now: Now, act: Any, **values: Any) -> Page:
    """Do it, and lead back to the page; or show the page with why it did not work."""
    try:
        act()
    except UserError as error:
        if wants_json():
            raise
        return _page(site, now, problem=error, **values)
    return see_other("/updates")


def _page(site: Site, now: Now, **values: Any) -> Page:
    config, desk = site.config, site.desk
    there = rules.standing(config, now.utc)
    fetch = desk.fetch
    upload = None if there.is_at_work or there.current is None else rules.usable_upload(config, desk.uploads, now.utc)
    last = there.outcomes[0] if there.outcomes else None
    shown = {
        "there": there,
        "version": version(),
        "upload": upload,
        "fetch": fetch,
        "fetch_problem": desk.problem,
        "steps": steps(there.progress) if there.progress else [],
        "is_undone": there.progress is not None and there.progress.step is Step.UNDOING,
        "outcomes": there.outcomes[:OUTCOMES_SHOWN],
        "last": last if last and now.utc - last.utc < 86_400 else None,
        "never_began": None if there.is_at_work else rules.never_began(config, now.utc),
        "ticket": desk.ticket(now.utc),
        "limit_mb": config.update.upload_mb,
        "line_of_plan": line_of_plan,
        "who": who,
        "by_hand": BY_HAND,
        "address": "",
        "renews": there.is_at_work or fetch is not None,
    }
    return site.pages.page("updates.html", **{**shown, **values})
