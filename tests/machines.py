"""A whole Debian as a container of systemd-nspawn, with a network of its own and what Ansible needs to reach it.

It is made from a root that mmdebstrap builds once and that is kept, like the wheels that the container installs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.boxes import until
from tests.conftest import REPOSITORY

SUITE, PYTHON = "trixie", "3.13"
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "python3-venv",
    "rauc",
    "rauc-service",
    "systemd",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
)
"""What the role installs, too: the container cannot reach an archive."""
APPLIANCE_PACKAGES = (
    "avahi-daemon",
    "dnsmasq-base",
    "iw",
    "kbd",
    "network-manager",
    "wireless-regdb",
    "wpasupplicant",
)
"""What it installs beside, with mb9k_appliance."""
NO_DOCUMENTS = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]
WHEELS_FOR = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOST, GUEST = "198.51.100.1", "198.51.100.2"
"""A network for documents only (RFC 5737): nobody else has it."""
BOOT_S = 60.0
POLL_S = 0.1
REBOOT = 133  # how systemd-nspawn ends when its container restarts


def skip_without_containers() -> None:
    """Skip the test where no container can be started."""
    for program in ("systemd-nspawn", "mmdebstrap", "ip", "ansible-playbook"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program}; scripts/test installs it")
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to start a container")


def _cached(name: str, inputs: object) -> tuple[Path, bool]:
    """Where something made from inputs is kept, and whether it is there. Of one name only the newest is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mb9k"
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"test-{name}-{hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]}.tar"
    if path.exists():
        return path, True
    for old in cache.glob(f"test-{name}-*"):
        old.unlink()
    return path, False


def base(more: Sequence[str] = ()) -> Path:
    """A tar archive of a Debian with systemd and Python. more: packages beside PACKAGES."""
    options = ["--variant=minbase", "--mode=root", '--aptopt=Acquire::Languages "none"', *NO_DOCUMENTS]
    packages = (*PACKAGES, *more)
    path, is_there = _cached("appliance" if more else "debian", (SUITE, packages, options))
    if not is_there:
        draft = path.with_name(f"draft-{os.getpid()}.tar")
        command = ["mmdebstrap", "--quiet", *options, f"--include={','.join(packages)}", SUITE, str(draft)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"Debian's archive gave no base: {done.stderr[-300:]}")
        draft.rename(path)
    return path


def wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(REPOSITORY)], check=True, capture_output=True)
    return next(folder.glob("mb9k-*.whl"))


def wheels(ours: Path, extras: Sequence[str]) -> Path:
    """A tar archive of the wheels that ours needs, for the container's Python."""
    pins = (REPOSITORY / "pyproject.toml").read_text()
    machine = os.uname().machine
    path, is_there = _cached("wheels", (pins, extras, PYTHON, machine))
    if not is_there:
        folder = ours.parent / "others"
        command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version", PYTHON]
        platforms = [word for each in WHEELS_FOR for word in ("--platform", f"{each}_{machine}")]
        wanted = f"{ours}[{','.join(extras)}]"
        subprocess.run([*command, *platforms, "--dest", str(folder), wanted], check=True, capture_output=True)
        (folder / ours.name).unlink()
        draft = path.with_name(f"draft-{os.getpid()}.tar")
        subprocess.run(["tar", "-cf", str(draft), "-C", str(folder), "."], check=True)
        draft.rename(path)
    return path


class Machine:
    """A container on a root folder. Only one process may have one at a time: they share an address."""

    def __init__(self, root: Path, packages: Sequence[str] = ()) -> None:
        self.root = root
        self.name = f"mb9k{os.getpid()}"
        self.log_path = root.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        root.mkdir()
        subprocess.run(["tar", "-xpf", str(base(packages)), "-C", str(root)], check=True)

    @contextmanager
    def booted(self) -> Iterator[None]:
        """The container runs, until the end of the block."""
        self._boot()
        try:
            yield
        finally:
            assert self.process is not None
            self.process.send_signal(signal.SIGTERM)  # shuts down in order
            try:
                self.process.wait(BOOT_S)
            finally:
                self.process.kill()
                self.process.wait()
                self.process = None

    def _boot(self) -> None:
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", f"--machine={self.name}"]
        options = ["--register=no", "--keep-unit", "--network-veth", "--link-journal=no", "--console=pipe"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await_boot()

    def reboot(self) -> None:
        """Restart it, as its power button does. Who started systemd-nspawn is to start it again."""
        self.try_run("systemctl", "reboot")
        self.await_restart()

    def await_restart(self) -> None:
        """Somebody in there restarts it: wait until it ends, and start it again."""
        assert self.process is not None
        assert self.process.wait(BOOT_S) == REBOOT
        self._boot()

    def starts_again(self, prepare: Callable[[], object]) -> None:
        """Wait until it restarts by itself. prepare: what comes before its first process."""
        assert self.process is not None
        assert self.process.wait(BOOT_S) == REBOOT
        prepare()
        self._boot()

    def _await_boot(self) -> None:
        until(lambda: self.leader() > 0, BOOT_S, "the container starts")
        until(lambda: self.try_run("test", "-S", "/run/systemd/private") == 0, BOOT_S, "its systemd answers")
        self._connect()
        self.try_run("systemctl", "is-system-running", "--wait")

    def _connect(self) -> None:
        outside = f"ve-{self.name}"
        inside = ["nsenter", f"--target={self.leader()}", "--net"]
        for words in (
            ["ip", "address", "replace", f"{HOST}/30", "dev", outside],
            ["ip", "link", "set", outside, "up"],
            [*inside, "ip", "address", "replace", f"{GUEST}/30", "dev", "host0"],
            [*inside, "ip", "link", "set", "host0", "up"],
        ):
            subprocess.run(words, check=True)

    def leader(self) -> int:
        """The process number of its first process; 0: there is none."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = children.read_text().split() if children.exists() else []
        return int(found[0]) if found else 0

    def _inside(self, words: Sequence[str]) -> list[str]:
        enter = ["nsenter", f"--target={self.leader()}", "-m", "-u", "-i", "-n", "-p"]
        return [*enter, "env", "-i", f"PATH={PATHS}", "LANG=C.UTF-8", *words]

    def run(self, *words: str) -> str:
        """What a command says in there. Raises CalledProcessError."""
        return subprocess.run(self._inside(words), check=True, stdout=subprocess.PIPE, text=True).stdout

    def try_run(self, *words: str) -> int:
        """The exit code of a command in there, which a restart may end."""
        with subprocess.Popen(self._inside(words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                time.sleep(POLL_S)
                # A machine that ends stops all in it first; nsenter stops with its command, and then never lets it go.
                process.send_signal(signal.SIGCONT)
            return process.returncode

    def state(self, unit: str, *properties: str) -> list[str]:
        """What systemd says of a unit."""
        said = self.run("systemctl", "show", unit, *(f"--property={each}" for each in properties))
        values = dict(line.split("=", 1) for line in said.splitlines())
        return [values[each] for each in properties]


class Playbooks:
    """Ansible's view of a machine: through chroot, or while it runs."""

    def __init__(self, folder: Path, machine: Machine, **knobs: object) -> None:
        self.machine, self.knobs = machine, knobs
        self.log_path = folder / "ansible.log"
        self.took_s: dict[str, float] = {}

    def play(self, name: str, **knobs: object) -> dict[str, int]:
        """Play a playbook of ansible/; how many tasks were ok, changed, failed ..."""
        host = {"ansible_connection": "mb9k_root", "ansible_become": False, "ansible_host": str(self.machine.root)}
        host["mb9k_root_leader"] = self.machine.leader() if self.machine.process else 0
        inventory = self.log_path.with_name("inventory.json")
        inventory.write_text(json.dumps({"boxes": {"hosts": {"box": {**host, **self.knobs, **knobs}}}}))
        begun_s = time.monotonic()
        with self.log_path.open("ab") as log:
            command = ["ansible-playbook", "-i", str(inventory), name]
            environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true"}
            done = subprocess.run(
                command, cwd=REPOSITORY / "ansible", stdout=log, stderr=log, env=environment, check=False
            )
        self.took_s[f"{len(self.took_s)} {name}"] = time.monotonic() - begun_s
        said = self.log_path.read_text(errors="replace")
        assert done.returncode == 0, said[-6000:]
        recap = said.rpartition("PLAY RECAP")[2].partition("box ")[2].partition("\n")[0]
        return {word.split("=")[0]: int(word.split("=")[1]) for word in recap.split() if "=" in word}
