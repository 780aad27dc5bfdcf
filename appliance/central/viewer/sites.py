"""Sites: the list by groups, one site, and what an admin may change of them."""

from __future__ import annotations

from typing import Any

from appliance.accounts.audit import Action
from appliance.accounts.audit_subjects import EACH_BOX_OF
from appliance.accounts.guard import Visitor
from appliance.alerts.kinds import Of, Subject
from appliance.alerts.site import TOGETHER
from appliance.central.store import CentralStore, Scope, Site
from appliance.central.store.sums import total
from appliance.central.viewer import ranges, series
from appliance.central.viewer.alerts import open_of
from appliance.central.viewer.boxes import bundle_named, give_command
from appliance.central.viewer.condition import completeness
from appliance.central.viewer.fleet import mark_of, tiles, worst_of
from appliance.central.viewer.pages import Centre
from appliance.errors import InputError, NotFound, UserError
from appliance.language import N_, _
from appliance.names import clean_name
from appliance.rates import compliance
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field
from appliance.web.pages import Page

FIELDS = ("name", "group", "latitude", "longitude")
LATITUDE = N_("The latitude is a number of degrees from -90 to 90, such as 48.137.")
LONGITUDE = N_("The longitude is a number of degrees from -180 to 180, such as 48.137.")


def add_routes(app: App, centre: Centre) -> None:
    """See, add, change, remove."""

    @app.get("/sites", access=Access.SIGNED_IN)
    def sites(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        return _list(centre, store, visitor, now)

    @app.post("/sites", access=Access.ADMIN)
    def add(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        typed = {name: field(name) for name in FIELDS}
        try:
            with store.saving():
                store.sites.add(site_from(0, typed))
        except UserError as error:
            return _list(centre, store, visitor, now, problem=error, typed=typed)
        return centre.pages.done("/sites", _("The site {name} was added.", name=typed["name"]))

    @app.get("/sites/<site_id:int>", access=Access.OWNER)
    def site_page(store: CentralStore, visitor: Visitor, now: Now, site: Site) -> Page:
        return _page(centre, store, visitor, now, site)

    @app.post("/sites/<site_id:int>/edit", access=Access.ADMIN)
    def edit(store: CentralStore, visitor: Visitor, now: Now, site_id: int) -> Page:
        site, typed = _found(store, site_id), {name: field(name) for name in FIELDS}
        try:
            with store.saving():
                store.sites.change(site_from(site.id, typed))
        except UserError as error:
            return _page(centre, store, visitor, now, site, problem=error, typed=typed)
        return centre.pages.done(f"/sites/{site.id}", _("The site was changed."))

    @app.post("/sites/<site_id:int>/update", access=Access.ADMIN)
    def update_boxes(store: CentralStore, visitor: Visitor, now: Now, site_id: int) -> Page:
        site, refused, is_told = _found(store, site_id), [], False
        try:
            detail = bundle_named(f"{field('address')} {field('sha256')}")
        except UserError as error:
            return _page(centre, store, visitor, now, site, problem=error)
        for box in store.boxes.all(None, site.id):
            if box.revoked_utc is None:
                try:
                    give_command(store, box, "update", detail, visitor.name, now)
                except UserError as error:
                    refused.append(f"{box.name}: {error}")
                else:
                    is_told = True
        if refused and not is_told:
            return _page(centre, store, visitor, now, site, problem=InputError(" ".join(refused)))
        words = [_("The boxes of this site were told to update."), *([_("But not:")] if refused else []), *refused]
        return centre.pages.done(f"/sites/{site.id}", " ".join(words), is_whole=not refused)

    @app.get("/sites/<site_id:int>/remove", access=Access.ADMIN)
    def confirm_removal(store: CentralStore, site_id: int) -> Page:
        return centre.pages.page("site_remove.html", site=_found(store, site_id))

    @app.post("/sites/<site_id:int>/remove", access=Access.ADMIN)
    def remove(store: CentralStore, site_id: int) -> Page:
        site = _found(store, site_id)
        _remove(store, site)
        return centre.pages.done("/sites", _("The site {name} was removed.", name=site.name))


def _remove(store: CentralStore, site: Site) -> None:
    """With the rules that are about it."""
    with store.saving():
        for rule in store.alerts.rules.all([Subject(Of.SITE, str(site.id))]):
            store.alerts.rules.remove(rule.id)
            title = site.name if rule.kind.name in TOGETHER else EACH_BOX_OF.format(site=site.name)
            of = rule.subject.on_record
            store.audit.add(Action.ALERT_RULE_REMOVED, title, rule=rule.id, **of, kind=rule.kind.name)
        store.sites.remove(site.id)
        store.audit.add(Action.CHANGED, f"POST /sites/{site.id}/remove", site=site.name)


def site_from(site_id: int, typed: dict[str, str]) -> Site:
    """A site as a form tells it. Raises InputError."""
    name = clean_name(typed["name"], N_("Give the site a name."))
    group = clean_name(typed["group"], N_("Give the group a name.")) if typed["group"] else ""
    latitude, longitude = _degrees(typed["latitude"], LATITUDE, 90), _degrees(typed["longitude"], LONGITUDE, 180)
    if (latitude is None) != (longitude is None):
        raise InputError(_("Give both the latitude and the longitude, or neither."))
    return Site(site_id, name, group, latitude, longitude)


def _degrees(text: str, wrong: str, most: int) -> float | None:
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = float("nan")
    if not -most <= value <= most:  # also where it is no number
        raise InputError(_(wrong))
    return value


def _found(store: CentralStore, site_id: int) -> Site:
    site = store.sites.get(site_id, None)
    if site is None:
        raise NotFound(_("This site was removed, or never was; choose another."))
    return site


def _list(centre: Centre, store: CentralStore, visitor: Visitor, now: Now, **values: Any) -> Page:
    person = visitor.sees_only
    sites, worst = store.sites.all(person), worst_of(tiles(store, person, now.utc))
    lists = {
        "sites": sites,
        "marks": {site.id: mark_of(site, worst) for site in sites},
        "today": store.sums.by_site(Scope(person), ranges.today(now.utc, store.zone())),
        "today_words": ranges.today_words(now.utc, store.zone()),
        "compliance": compliance,
        "typed": dict.fromkeys(FIELDS, ""),
    }
    return centre.pages.page("sites.html", **{**lists, **values})


def _page(centre: Centre, store: CentralStore, visitor: Visitor, now: Now, site: Site, **values: Any) -> Page:
    asked, person = ranges.asked(now.utc, store.zone()), visitor.sees_only
    steps = store.sums.series(Scope(person, site_id=site.id), asked.span)
    sums = total(steps.values())
    found = [tile for tile in tiles(store, person, now.utc, site.id) if tile.box.revoked_utc is None]
    place = ["" if degrees is None else f"{degrees:g}" for degrees in (site.latitude, site.longitude)]
    here = [Subject(Of.BOX, tile.box.id) for tile in found]
    shown = {
        "site": site,
        "alerts": open_of(store, Subject(Of.SITE, str(site.id)), *here),
        "asked": asked,
        "sums": sums,
        "rate": compliance(sums.counts),
        "chart": series.chart(steps, asked.span, now.utc, site.name),
        "rate_chart": series.rate_chart(steps, asked.span, now.utc, site.name),
        "tiles": found,
        "complete": completeness([tile.box for tile in found], now.utc),
        "typed": dict(zip(FIELDS, (site.name, site.group, *place), strict=True)),
    }
    return centre.pages.page("site.html", **{"problem": asked.problem, **shown, **values})
