"""A box that is run from a folder of releases, for tests: real wheels, real environments, real services.

Its systemctl is a stand-in: it starts and stops `mb9k run` of the current release. The packages that mb9k needs come
from a wheel that is a stand-in, too: it lets a release see those of the environment that runs the tests.
"""

from __future__ import annotations

import ensurepip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.accounts.people import Role
from appliance.config import Config, load
from appliance.store import Store
from appliance.update.building import build
from appliance.update.bundle import verified, write
from appliance.update.journal import Journal
from appliance.update.releases import CURRENT, Releases
from appliance.update.versions import this_machine, this_python
from scripts.bundle import describe
from scripts.signing_keys import AUTHORITY, SIGNER, SIGNER_KEY, make_authority, make_signer
from tests.boxes import START_S, Box, is_listening, until
from tests.conftest import REPOSITORY, port_giver

UTC = 1_790_000_000.0
SYSTEMCTL = """#!{python}
# A stand-in for systemctl, for tests: mb9k.target is `mb9k run` of the current release, as the user whose data it is;
# mb9k-update@.service is `mb9k update`.
import os, signal, subprocess, sys, time
from pathlib import Path
pid_path, words = Path("{folder}/run.pid"), sys.argv[1:]
if words == ["start", "mb9k.target"]:
    log = open("{folder}/run.log", "ab")
    command = ["{folder}/releases/current/bin/mb9k", "--config", "{folder}/mb9k.toml", "run"]
    files = dict(stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if os.geteuid() == 0:
        owner = os.stat("{folder}/state")
        files.update(user=owner.st_uid, group=owner.st_gid, extra_groups=[])
    process = subprocess.Popen(command, cwd="/", start_new_session=True, **files)
    pid_path.write_text(str(process.pid))
elif words[:2] == ["start", "--no-block"]:
    name = words[2].removeprefix("mb9k-update@").removesuffix(".service")
    command = ["{folder}/releases/current/bin/mb9k", "--config", "{folder}/mb9k.toml", "update", name]
    log = open("{folder}/update.log", "ab")
    subprocess.Popen(command, cwd="/", start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
elif words == ["stop", "mb9k.target"] and pid_path.exists():
    pid = int(pid_path.read_text())
    try:
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{{pid}}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
            time.sleep(0.05)
    except (OSError, IndexError):
        pass
    pid_path.unlink()
"""


def host_packages(folder: Path, site: str = "") -> Path:
    """A wheel, a stand-in for all that mb9k needs: the release then finds what is in site; empty: what is here."""
    site = site or next(path for path in sys.path if path.endswith("site-packages"))
    path = folder / "host_packages-1.0-py3-none-any.whl"
    info = "host_packages-1.0.dist-info"
    files = {
        "host_packages.pth": f"{site}\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: host-packages\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def pip_wheel() -> Path:
    """The wheel of pip that Python brings, or the distribution."""
    for folder in (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")):
        for path in folder.glob("pip-*.whl"):
            return path
    raise AssertionError("there is no wheel of pip; apt-get install python3-venv")


def own_wheel(folder: Path, version: str, changes: Mapping[str, tuple[str, str]] | None = None) -> Path:
    """A wheel of this tree under another version. changes: in these files, this text for that one."""
    tree = folder / f"tree-{version}"
    tree.mkdir()
    for name in ("README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tree)
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "appliance", tree / "appliance", ignore=no_caches)
    shutil.copytree(REPOSITORY / "models" / "golden", tree / "models" / "golden")
    shutil.copytree(REPOSITORY / "models" / "weights", tree / "models" / "weights", copy_function=os.link)
    shutil.copy(REPOSITORY / "models" / "manifest.toml", tree / "models")
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert '\nversion = "0.1.0"\n' in project
    (tree / "pyproject.toml").write_text(project.replace('\nversion = "0.1.0"\n', f'\nversion = "{version}"\n'))
    for name, (before, after) in (changes or {}).items():
        text = (tree / name).read_text()
        assert before in text, name
        (tree / name).write_text(text.replace(before, after))
    out = folder / f"wheel-{version}"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    shutil.rmtree(tree)
    return next(out.glob("*.whl"))


class Bundles:
    """A folder with signing keys, and bundles signed by them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.mkdir()
        make_authority(self.keys, UTC)
        make_signer(self.keys, "the tests' signer", time.time())
        self._host = host_packages(folder)

    @property
    def authority(self) -> str:
        """The authority's certificate, PEM."""
        return (self.keys / AUTHORITY).read_text()

    def make(
        self,
        version: str,
        changes: Mapping[str, tuple[str, str]] | None = None,
        python: str = this_python(),
        machine: str = this_machine(),
        updates_from: str = "0.1.0",
        site: str = "",
    ) -> Path:
        """A bundle of this tree under another version. changes: see own_wheel; site: see host_packages."""
        host = host_packages(self.folder, site) if site else self._host
        wheels = [own_wheel(self.folder, version, changes), host, pip_wheel()]
        manifest = describe(wheels, python, machine, updates_from, [f"What is new in {version}."])
        path = self.folder / f"mb9k-{version}.mb9k"
        key, certificate = (self.keys / SIGNER_KEY).read_bytes(), (self.keys / SIGNER).read_text()
        write(path, manifest, {wheel.name: wheel for wheel in wheels}, key, certificate)
        return path


class Room:
    """A box in a folder, its releases, and the stand-in for systemctl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_path = folder / "mb9k.toml"
        self.releases = Releases(folder / "releases")
        self.journal = Journal(self.releases.folder)
        self.environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}

    @classmethod
    def make(cls, folder: Path, bundles: Bundles, *versions: Path) -> Room:
        """A box with these releases, of which the first is the one that runs, once it is started."""
        room = cls(folder)
        room.releases.folder.mkdir()
        (folder / "authority.pem").write_text(bundles.authority)
        update = {"releases": str(room.releases.folder), "authority": str(folder / "authority.pem"), "health_s": 60.0}
        Box(folder, "embedded", port_giver(), update=update).store.close()
        for path in versions:
            build(verified(path, bundles.authority, UTC), room.releases, like="")
        room.releases.point(CURRENT, verified(versions[0], bundles.authority, UTC).manifest.version)
        (folder / "bin").mkdir()
        stand_in = folder / "bin" / "systemctl"
        stand_in.write_text(SYSTEMCTL.format(python=sys.executable, folder=folder))
        stand_in.chmod(0o755)
        return room

    @property
    def config(self) -> Config:
        """The box's configuration."""
        return load(self.config_path)

    def mb9k(self, *words: str, version: str = CURRENT) -> subprocess.CompletedProcess[str]:
        """A command of a release."""
        command = [str(self.releases.folder / version / "bin" / "mb9k"), "--config", str(self.config_path), *words]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    def set_patience(self, health_s: float) -> None:
        """How long a version may take to be well from now on."""
        text = self.config_path.read_text()
        self.config_path.write_text(re.sub(r"health_s = [0-9.]+", f"health_s = {health_s}", text))

    def systemctl(self, word: str) -> None:
        """Ask the stand-in."""
        subprocess.run(["systemctl", word, "mb9k.target"], check=True, env=self.environment)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The box, from when its site answers until the end of the block."""
        self.systemctl("start")
        try:
            self.wait_for_site()
            yield
        finally:
            self.systemctl("stop")

    def wait_for_site(self) -> None:
        """Wait until the page is there."""
        until(lambda: is_listening(self.config.web.port), START_S, "the site")

    def kill_services(self) -> None:
        """End all that runs at once, as when the power goes."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(self.config_path).encode() in words and words[-2] in (b"run", *SERVICE_NAMES):
                os.kill(int(folder.name), signal.SIGKILL)
        (self.folder / "run.pid").unlink(missing_ok=True)

    def add_person(self, name: str) -> None:
        """Somebody whom the record must keep, or not."""
        store = Store.open_existing(self.config.store_path)
        with store.writing():
            store.people.add(name, "hash", Role.DATA_SCIENTIST, UTC)
        store.close()

    def people(self, path: Path | None = None) -> list[str]:
        """Who is on record."""
        store = Store.open_readonly(path or self.config.store_path)
        try:
            return [row[0] for row in store.db.execute("select name from people order by id")]
        finally:
            store.close()

    def faults(self, version: str) -> list[str]:
        """What is wrong with a box on which this release is to run, as between two updates; empty: it works."""
        found = []
        if self.releases.current() != version:
            found.append(f"{self.releases.current()} is current")
        if self.journal.path.exists():
            found.append(f"an update is under way: {self.journal.read()}")
        checked = self.mb9k("check")
        if checked.returncode:
            found.append(f"the record: {checked.stdout}{checked.stderr}")
        hidden = [path.name for path in self.releases.folder.glob(".*")]
        copies = list((self.config.state / "update").glob("*"))
        return found + [f"left over: {name}" for name in (*hidden, *copies)]

    def log(self) -> str:
        """What its services said."""
        return (self.folder / "run.log").read_text(errors="replace")


SERVICE_NAMES = (b"gate", b"ingest", b"watch", b"serve", b"sync", b"notify")
