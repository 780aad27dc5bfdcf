"""How fast the page of a centre is with a year of 1,000 boxes, beside one that has a day of them: asked in turn.

Compared are pages that show the same on both: their range is one that both have. A longer range draws what only one
of them has, a bar for each hour or day, and so stands apart.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from appliance.accounts.people import Role
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.opening import open_database
from appliance.central.store import CentralStore
from appliance.central.viewer.site import make_app
from appliance.secrets import digest
from appliance.times import now

BOXES, SITES, HOUR_S = 1000, 50, 3600
REPEATS = 40
PAGES = {
    "the fleet": "/",
    "its table": "/boxes",
    "one site, its usual range": "/sites/1",
    "one site, 24 hours": "/sites/1?last=day",
    "a box, its usual range": "/boxes/box-7",
    "a box, 24 hours": "/boxes/box-7?last=day",
}
LONGER = {
    "one site, 7 days": "/sites/1?last=week",
    "a box, a year": "/boxes/box-7?last=year",
}
TOKEN = "a-session-of-the-bench"  # noqa: S105


def fill(database: Database, hours: int, now_utc: int) -> None:
    """1,000 boxes at 50 sites, one stream each, with so many hours of sums, and the roll-ups of their days."""
    last = now_utc // HOUR_S * HOUR_S
    counted = "(i * 7 + h) % 40, (i + h) % 9, (i + h * 3) % 5, h % 3"
    with database.writing():
        for number in range(SITES):
            database.execute("insert into sites (name) values (?)", [f"site {number}"])
        database.executemany(
            "insert into boxes (id, site_id, joined_utc, hello_utc, clock, status, state_utc, sums_utc, complete_utc,"
            " live) values (?, ?, ?, ?, 'believed', 'running', ?, ?, ?, '[1]')",
            [[f"box-{n}", n % SITES + 1, 0, now_utc, now_utc, now_utc, now_utc] for n in range(BOXES)],
        )
        database.executemany(
            "insert into streams (box_id, number, name) values (?, 1, 'door')", [[f"box-{n}"] for n in range(BOXES)]
        )
        for table, count, step_s in (("hours", hours, HOUR_S), ("days", max(1, hours // 24), 24 * HOUR_S)):
            oldest = last // step_s * step_s - (count - 1) * step_s  # first: rows in the order of their key
            database.execute(
                f"insert into {table} (stream_id, start_utc, watched_s, mask, no_mask, incorrect, unknown, unverified)"  # noqa: S608
                " with recursive steps (h) as (select 0 union all select h + 1 from steps where h < :count - 1),"
                " streams_of (i) as (select 1 union all select i + 1 from streams_of where i < :boxes)"
                f" select i, :oldest + h * :step, :step, {counted}, 0 from steps cross join streams_of",
                {"count": count, "boxes": BOXES, "oldest": oldest, "step": step_s},
            )
    database.execute("analyze")


@contextmanager
def viewer(address: str, folder: Path, hours: int) -> Iterator[httpx.Client]:
    """A browser of an admin at the site of a centre with so many hours."""
    database, at = open_database(address), now().utc
    fill(database, hours, int(at))
    store = CentralStore(database)
    person = store.people.add("ann", "nobody signs in", Role.ADMIN, at)
    store.people.add_session(digest(TOKEN), person, "csrf", at)
    store.close()
    config = msgspec.convert({"state_dir": str(folder)}, CentralConfig)
    app = make_app(config, lambda: CentralStore.open_existing(address))
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://localhost") as client:
        client.headers["Cookie"] = f"mb9k_centre_session={TOKEN}"
        yield client


def answer_ms(client: httpx.Client, path: str) -> float:
    """How long an answer takes."""
    begun_s = time.perf_counter()
    answer = client.get(path)
    taken_ms = (time.perf_counter() - begun_s) * 1000
    assert answer.status_code == 200, answer.text
    return taken_ms


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def viewer_row(day_address: str, year_address: str) -> list[str]:
    """Lines of figures. The databases must be empty."""
    lines = []
    with (
        tempfile.TemporaryDirectory() as folder,
        viewer(day_address, Path(folder), 24) as day,
        viewer(year_address, Path(folder), 24 * 365) as year,
    ):
        for title, path in (PAGES | LONGER).items():
            took: dict[str, list[float]] = {"day": [], "year": []}
            for client in (day, year):
                answer_ms(client, path)  # the first one reads the file
            for _ in range(REPEATS):
                for name, client in (("day", day), ("year", year)):
                    took[name].append(answer_ms(client, path))
            middle = {name: statistics.median(values) for name, values in took.items()}
            slow = {name: p95(values) for name, values in took.items()}
            apart = ", of which one has a day and the other all" if title in LONGER else ""
            lines.append(
                f"{title}{apart}: p50 {middle['day']:.1f} ms with a day, {middle['year']:.1f} ms with a year;"
                f" p95 {slow['day']:.1f} and {slow['year']:.1f} ms, {slow['year'] / slow['day']:.2f} times"
            )
    return lines


def main() -> None:
    """The figures on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        for line in viewer_row(f"{folder}/day.db", f"{folder}/year.db"):
            print(f"  {line}")


if __name__ == "__main__":
    main()
