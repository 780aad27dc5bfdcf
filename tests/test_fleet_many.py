"""Three `central ingest` and two `central serve` on one PostgreSQL: an ingest is killed and replaced under load."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import msgspec

from appliance.accounts.people import Role
from appliance.central.opening import open_database
from appliance.central.store import CentralStore
from appliance.secrets import digest
from tests.boxes import is_listening, until
from tests.fleet_chaos import Chaos
from tests.fleet_chaos_box import Process
from tests.postgres import Cluster
from tests.site import PASSWORD_HASH

PATIENCE_S, HANG_S = 60.0, 180.0
STATES = ("mask", "no_mask", "incorrect", "unknown")


def add_token(address: str) -> None:
    """An admin, whose programs may ask."""
    database = open_database(address)
    people, now_s = CentralStore(database).people, time.time()
    person_id = people.add("ann", PASSWORD_HASH, Role.ADMIN, now_s)
    people.add_token(person_id, "test", digest("a token"), now_s, now_s + 86_400)
    database.close()


def told_by(port: int) -> dict[str, int]:
    """What a site answers: the persons of the last two days, by state."""
    since = (datetime.now(timezone.utc) - timedelta(days=2)).isoformat()
    answer = httpx.get(
        f"http://127.0.0.1:{port}/api/v1/counts",
        params={"since": since, "step": "hour"},
        headers={"Authorization": "Bearer a token"},
    )
    assert answer.status_code == 200, answer.text
    steps = answer.json()["steps"]
    return {state: sum(step[state] for step in steps) for state in STATES}


def sites(chaos: Chaos, folder: Path, ports: list[int]) -> list[Process]:
    """`mb9k central serve`, one for each port; not started yet."""
    found = []
    for port in ports:
        wiring = msgspec.to_builtins(chaos.room.config) | {"web": {"host": "127.0.0.1", "port": port}}
        path = folder / f"site-{port}.toml"
        path.write_bytes(msgspec.toml.encode(wiring))
        words = ["mb9k", "central", "--config", str(path), "serve"]
        found.append(Process(folder / f"site-{port}.log", lambda words=words: words, ""))  # type: ignore[misc]
    return found


def test_an_ingest_that_is_killed_under_load_costs_nothing(
    tmp_path: Path, free_port: Callable[[], int], postgres: Cluster
) -> None:
    chaos = Chaos(tmp_path, free_port, 5, cluster=postgres, ingests=3)
    add_token(chaos.address)
    ports = [free_port(), free_port()]
    serving = sites(chaos, tmp_path, ports)
    with chaos.running():
        try:
            for site in serving:
                site.start()
            until(chaos.all_tell, PATIENCE_S, "the centre hears of every box")
            until(lambda: all(map(is_listening, ports)), PATIENCE_S, "both sites answer")
            for _ in range(2):
                time.sleep(1.5)
                chaos.kill_ingest()
            time.sleep(1.5)
            chaos.stop_writing()
            assert chaos.settle(PATIENCE_S, HANG_S) == []
            counted = dict.fromkeys(STATES, 0)
            for box in chaos.boxes:
                for _, _, *persons, _, _ in box.rows().values():
                    counted = {state: counted[state] + n for state, n in zip(STATES, persons, strict=True)}
            assert sum(counted.values()) > 0
            assert [told_by(port) for port in ports] == [counted, counted]
        finally:
            for site in serving:
                site.kill()
