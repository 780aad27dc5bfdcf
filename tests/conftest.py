"""What all tests may ask for."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.store import Store
from tests.postgres import Cluster, running_cluster

REPOSITORY = Path(__file__).parent.parent

MAY_BE_ABSENT = (
    "MediaMTX",
    "labelled pictures",
    "no right to give a console away",
    "no right to mount a disk",
    "no right to start a container",
    "no right to trace a process",
)
"""What no package brings, or no container allows: without it a test may be skipped even where nothing else may."""


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """With CI=true, a test that is skipped for want of a package fails: it would prove nothing."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not any(allowed in reason for allowed in MAY_BE_ABSENT):
            report.outcome = "failed"
            report.longrepr = f"skipped, which is not allowed here: {reason}"


SLOWEST = [
    "test_end_to_end",
    "test_fleet_chaos",
    "test_power_cuts",
    "test_attack",
    "test_accessibility",
    "test_ansible",
    "test_central_site_roles",
    "test_browser",
    "test_api_schema",
    "test_view",
    "test_notify",
    "test_zones_browser",
    "test_list_browser",
    "test_alert_browser",
    "test_preview_browser",
    "test_unsent",
    "test_calibration",
    "test_count_scenes",
    "test_demo_fleet",
    "test_sync",
    "test_mediamtx",
    "test_embedded",
    "test_rtsp_cameras",
    "test_analysis_substream",
    "test_central_browser",
    "test_broker_on_site",
    "test_web",
    "test_https_server",
    "test_proxy",
    "test_clients",
    "test_ingest",
    "test_central_run",
    "test_detect",
]
"""They begin in this order: half a minute or more each, of which none should be left when all else is done."""
ENGINE = re.compile(r"\[(embedded|mediamtx)\b")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes share the tests by file and ingest, since a file's fixtures are its own; the slowest first."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOWEST)))
    for item in items:
        engine = ENGINE.search(item.name)
        item.add_marker(pytest.mark.xdist_group(item.path.stem + (f"-{engine[1]}" if engine else "")))


FIRST_PORT, PORTS_AT_ONCE = 10_000, 100


def _ports() -> Iterator[int]:
    """Every free port on loopback that no other process of these tests is given, each once.

    A port is bound by its service only a while after it was named, and tests run in several processes. So each claims
    its ports, a hundred at once, by an abstract Unix socket, which the kernel closes however the process ends; and they
    lie below those that a connection gets by itself.
    """
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for first in range(FIRST_PORT, first_ephemeral, PORTS_AT_ONCE):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0mb9k tests, ports from {first}")
        except OSError:
            claim.close()
            continue
        claim.detach()
        for port in range(first, first + PORTS_AT_ONCE):
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            yield port


_free_ports = _ports()


def port_giver() -> Callable[[], int]:
    """A function that names a free port on loopback, another one at each call."""
    return lambda: next(_free_ports)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that names a free port on loopback, for one test."""
    return port_giver()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL for all tests of a session."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a centre's database is, one of each kind; it is empty, without tables."""
    if request.param == "sqlite":
        yield str(tmp_path / "central.db")
        return
    from appliance.central.postgresql import close_pools

    cluster: Cluster = request.getfixturevalue("postgres")
    address = cluster.new_database()
    yield address
    close_pools()
    cluster.drop(address)


@pytest.fixture(scope="session")
def made_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A centre's database in one file, as it is after all migrations and before anything else."""
    from appliance.central.opening import open_database

    path = tmp_path_factory.mktemp("made") / "central.db"
    open_database(str(path)).close()
    return path.read_bytes()


@pytest.fixture(scope="session")
def made_on_postgresql(postgres: Cluster) -> str:
    """The name of the same on the other database, of which copies are made."""
    from appliance.central.opening import open_database
    from appliance.central.postgresql import close_pools

    name = "made"
    postgres.sql(f"create database {name}")
    open_database(postgres.address(name)).close()
    close_pools()  # a database to which somebody is connected cannot be copied
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def made_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Like database_address, with the tables of a centre: a copy, since the migrations take longer than most tests."""
    if request.param == "sqlite":
        path = tmp_path / "central.db"
        path.write_bytes(request.getfixturevalue("made_on_sqlite"))
        yield str(path)
        return
    from appliance.central.postgresql import close_pools

    cluster: Cluster = request.getfixturevalue("postgres")
    address = cluster.new_database(request.getfixturevalue("made_on_postgresql"))
    yield address
    close_pools()
    cluster.drop(address)


@pytest.fixture
def store() -> Store:
    """A fresh store in memory."""
    return Store.in_memory()


@pytest.fixture
def data_dir() -> Path:
    """The labelled pictures beside the checkout; a test that needs them is skipped where they are absent."""
    folder = Path(os.environ.get("MB9K_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the labelled pictures are not here ({folder}); set MB9K_DATA to their folder")
    return folder
