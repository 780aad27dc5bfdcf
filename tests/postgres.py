"""A real PostgreSQL for tests: a cluster of our own, a database for each test."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
_numbers = itertools.count(1)


def programs() -> Path:
    """The folder of PostgreSQL's programs; without one the test is skipped."""
    found = shutil.which("initdb")
    if not PROGRAMS and not found:
        pytest.skip("no PostgreSQL: install the package postgresql")
    return PROGRAMS[-1] if PROGRAMS else Path(str(found)).parent


def _user() -> str | None:
    """Whom PostgreSQL runs as: it refuses to run as root. None: ourselves."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Cluster:
    """A running PostgreSQL that only listens on a socket in its folder."""

    def __init__(self, folder: Path, durable: bool) -> None:
        self.folder, self.user = folder, _user()
        self.data = folder / "data"
        if self.user:
            folder.chmod(0o755)
            shutil.chown(folder, self.user)
        make = [str(programs() / "initdb"), "--pgdata", str(self.data), "--auth=trust", "--username=mb9k"]
        self._run(*make, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nmax_connections = 200\n")
            if not durable:  # tests end processes, not machines
                settings.write("fsync = off\nfull_page_writes = off\n")

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, user=self.user, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it; it takes connections afterwards."""
        log = str(self.folder / "log")
        self._run(str(programs() / "pg_ctl"), "start", "--wait", "--pgdata", str(self.data), "--log", log)

    def stop(self, mode: str = "fast") -> None:
        """Stop it. mode: fast ends connections; immediate is as if it had crashed."""
        self._run(str(programs() / "pg_ctl"), "stop", "--wait", "--mode", mode, "--pgdata", str(self.data))

    def new_database(self, like: str = "template1") -> str:
        """The address of a new database: empty, or with all that another has, to which nobody is connected."""
        name = f"test_{next(_numbers)}"
        self.sql(f"create database {name} template {like}")
        return self.address(name)

    def drop(self, address: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.sql(f"drop database {address.partition('?')[0].rpartition('/')[2]} with (force)")

    def dump(self, address: str) -> Path:
        """Copy a database while it is used; the path of the copy."""
        copy = self.folder / f"copy-{next(_numbers)}.dump"
        self._run(str(programs() / "pg_dump"), "--format=custom", f"--file={copy}", f"--dbname={address}")
        return copy

    def put_back(self, address: str, copy: Path | None) -> None:
        """Have the database empty, or as the copy has it, whoever is connected to it."""
        self.drop(address)
        self.sql(f"create database {address.partition('?')[0].rpartition('/')[2]}")
        if copy:
            self._run(str(programs() / "pg_restore"), "--exit-on-error", f"--dbname={address}", str(copy))

    def address(self, name: str) -> str:
        """How to reach one of its databases."""
        return f"postgresql://mb9k@/{name}?host={self.folder}"

    def sql(self, statement: str, name: str = "postgres") -> None:
        """Run one statement, as an administrator would."""
        self._run(str(programs() / "psql"), "--no-psqlrc", self.address(name), "--command", statement)


@contextmanager
def running_cluster(durable: bool = False) -> Iterator[Cluster]:
    """A cluster until the end of the block. durable: what it committed survives a power cut, as in earnest."""
    programs()
    with tempfile.TemporaryDirectory(prefix="mb9k-postgres-") as folder:  # its socket's path must be short
        cluster = Cluster(Path(folder), durable)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop("immediate")
