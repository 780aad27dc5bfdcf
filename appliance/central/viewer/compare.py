"""Sites, groups or boxes beside each other: persons and compliance, each rate with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.accounts.guard import Visitor
from appliance.central.store import CentralStore, Scope, Span, Watched
from appliance.central.viewer import ranges
from appliance.central.viewer.pages import Centre
from appliance.language import N_, _
from appliance.rates import Rate, compliance
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import query_value
from appliance.web.pages import Page

KINDS = {"site": N_("Sites"), "group": N_("Groups"), "box": N_("Boxes")}
ONE_OF = {"site": N_("Site"), "group": N_("Group"), "box": N_("Box")}
NOWHERE = N_("without a site")
NO_GROUP = N_("without a group")


@dataclass(frozen=True, slots=True)
class Compared:
    """One of those that are compared. key: its id, or the name of the group; href: its page, empty: it has none.

    place: where it stands: boxes of different sites may be called alike.
    """

    key: str
    name: str
    href: str
    sums: Watched
    place: str = ""

    @property
    def rate(self) -> Rate | None:
        """Its compliance."""
        return compliance(self.sums.counts)


def compared(store: CentralStore, person: int | None, span: Span, kind: str) -> list[Compared]:
    """Every one of the kind that a person sees, highest rate first, those without a rate last."""
    if kind == "box":
        by_box = store.sums.by_box(Scope(person), span)
        boxes = store.boxes.all(person)
        found = [
            Compared(box.id, box.name, f"/boxes/{box.id}", by_box.get(box.id, Watched()), box.site or _(NOWHERE))
            for box in boxes
        ]
    else:
        by_site = store.sums.by_site(Scope(person), span)
        sites = store.sites.all(person)
        found = [
            Compared(str(site.id), site.name, f"/sites/{site.id}", by_site.get(site.id, Watched())) for site in sites
        ]
        if None in by_site:
            found.append(Compared("", _(NOWHERE), "", by_site[None]))
        if kind == "group":
            groups: dict[str, Watched] = {}
            named = {str(site.id): site.group for site in sites}
            for each in found:
                group = named.get(each.key, "")
                groups[group] = groups.get(group, Watched()) + each.sums
            found = [Compared(name, name or _(NO_GROUP), "", sums) for name, sums in groups.items()]
    return sorted(
        found,
        key=lambda each: (-(each.rate.value if each.rate and each.rate.is_enough else -1.0), each.name.casefold()),
    )


def add_routes(app: App, centre: Centre) -> None:
    """The page."""

    @app.get("/compare", access=Access.SIGNED_IN)
    def compare(store: CentralStore, visitor: Visitor, now: Now) -> Page:
        asked = ranges.asked(now.utc, store.zone(), default="week")
        kind = query_value("by") if query_value("by") in KINDS else "site"
        found = compared(store, visitor.sees_only, asked.span, kind)
        return centre.pages.page(
            "compare.html", problem=asked.problem, asked=asked, kind=kind, kinds=KINDS, one_of=ONE_OF, found=found
        )
