"""Sites, the groups they are in, and which of them an analyst sees."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.central.database import Database
from appliance.errors import NameTaken
from appliance.language import _


@dataclass(frozen=True, slots=True)
class Site:
    """A place where boxes stand. latitude, longitude: degrees; None: not on the map. boxes: how many stand there."""

    id: int
    name: str
    group: str
    latitude: float | None
    longitude: float | None
    boxes: int = 0

    @property
    def has_place(self) -> bool:
        """Whether it can be drawn on the map."""
        return self.latitude is not None and self.longitude is not None


_SITE = (
    "select sites.id, sites.name, group_name, latitude, longitude, (select count(*) from boxes"
    " where boxes.site_id = sites.id and boxes.revoked_utc is null) as boxes from sites"
)
_SEEN = "sites.id in (select site_id from person_sites where person_id = :person)"


class Sites:
    """The statements. person: whose sites; None: all."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def _found(self, person: int | None, where: str, **values: object) -> list[Site]:
        seen = "1 = 1" if person is None else _SEEN
        rows = self.db.query(
            f"{_SITE} where {seen} and {where} order by lower(coalesce(group_name, '')), lower(sites.name)",
            {"person": person, **values},
        )
        return [
            Site(row["id"], row["name"], row["group_name"] or "", row["latitude"], row["longitude"], row["boxes"])
            for row in rows
        ]

    def all(self, person: int | None) -> list[Site]:
        """Every site, by group and name."""
        return self._found(person, "1 = 1")

    def get(self, site_id: int, person: int | None) -> Site | None:
        """The site with this id, if the person sees it."""
        return next(iter(self._found(person, "sites.id = :site", site=site_id)), None)

    def add(self, site: Site) -> int:
        """Add a site (its id is not looked at); the new id. Raises NameTaken."""
        try:
            rows = self.db.query(
                "insert into sites (name, group_name, latitude, longitude) values (?, ?, ?, ?) returning id",
                [site.name, site.group, site.latitude, site.longitude],
            )
            return next(int(row["id"]) for row in rows)
        except sqlite3.IntegrityError as error:
            raise _taken(site.name) from error

    def change(self, site: Site) -> None:
        """Give it these values. Raises NameTaken."""
        try:
            self.db.execute(
                "update sites set name = ?, group_name = ?, latitude = ?, longitude = ? where id = ?",
                [site.name, site.group, site.latitude, site.longitude, site.id],
            )
        except sqlite3.IntegrityError as error:
            raise _taken(site.name) from error

    def remove(self, site_id: int) -> None:
        """Remove a site; its boxes stay, without one."""
        self.db.execute("update boxes set site_id = null where site_id = ?", [site_id])
        self.db.execute("update joins set site_id = null where site_id = ?", [site_id])
        self.db.execute("delete from person_sites where site_id = ?", [site_id])
        self.db.execute("delete from report_subjects where subject = ?", [f"site:{site_id}"])
        self.db.execute("delete from sites where id = ?", [site_id])

    def of_people(self) -> dict[int, list[int]]:
        """Which sites each analyst sees, by the person's id."""
        found: dict[int, list[int]] = {}
        for row in self.db.query("select person_id, site_id from person_sites order by site_id"):
            found.setdefault(row["person_id"], []).append(row["site_id"])
        return found

    def give(self, person_id: int, site_ids: Iterable[int]) -> None:
        """Let a person see just these sites; those that there are none of are passed over."""
        self.db.execute("delete from person_sites where person_id = ?", [person_id])
        for site_id in site_ids:
            self.db.execute(
                "insert into person_sites (person_id, site_id) select ?, id from sites where id = ?",
                [person_id, site_id],
            )


def _taken(name: str) -> NameTaken:
    return NameTaken(_("There is already a site called {name}; choose another name.", name=name))
