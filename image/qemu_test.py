"""What only a whole machine shows: from UEFI to claimed, an update of the system, its undoing, a hang. In QEMU."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx

from appliance.errors import UserError
from appliance.update.versions import number
from image.doctored import Doctored
from image.qemu import EMULATED, Machine, NotInTime, accelerator
from image.system_bundle import make_from_root, refuse_without_programs
from scripts.signing_keys import AUTHORITY, REPOSITORY, make_authority, make_signer

IMAGE = "mb9k-{target}.img"
PASSWORD = "a good password for tests"  # noqa: S105 - of a machine that lives for an hour
CODE = r"\b([2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4})\b"
STARTED = r"BdsDxe: starting.*?mb9k: slot ([AB]);"
"""What UEFI and then GRUB say on the console; GRUB may say it twice, once through UEFI."""
BROKEN = {"appliance/cli.py": ("from __future__ import annotations\n", "raise SystemExit('broken for tests')\n")}
SETTLED = "mb9k slots; test ! -e /data/update/update.json && echo settled"
BUNDLES = "mkdir -p /run/bundles; mountpoint -q /run/bundles || mount -o ro /dev/vdb /run/bundles"
KVM, TCG = 1.0, 4.0
"""How much longer than usual things may take."""


class Run:
    """One run of the steps. patience: what usual times are multiplied by."""

    def __init__(self, target: str, image: Path, folder: Path, memory_mb: int, with_updates: bool) -> None:
        self.image, self.folder, self.with_updates = image, folder, with_updates
        emulated = EMULATED[target]
        self.kind = accelerator(emulated, folder)
        self.patience = KVM if self.kind == "kvm" else TCG
        self._begun_s = time.monotonic()
        self._prepare()
        self.machine = Machine(emulated, self.disk, self.bundles, folder, self.kind, memory_mb)

    def say(self, words: str) -> None:
        """A line with the seconds since the beginning."""
        click.echo(f"[{time.monotonic() - self._begun_s:6.0f} s] {words}")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """One step, and how long it took."""
        self.say(f"{what} ...")
        begun_s = time.monotonic()
        yield
        self.say(f"{what}: done in {time.monotonic() - begun_s:.0f} s")

    def _prepare(self) -> None:
        keys = self.folder / "keys"
        keys.mkdir()
        make_authority(keys, time.time())
        make_signer(keys, "image/test-qemu", time.time())
        with self.step("Copy the image"):
            doctored = Doctored(self.image, (keys / AUTHORITY).read_text(), self.folder, int(self.patience))
            self.disk = doctored.disk(self.folder / "disk.img")
            self.build = doctored.build
            self.version = number(doctored.build)
        self.bundles = self.folder / "bundles.ext4" if self.with_updates else None
        if self.bundles:
            with self.step("Make two bundles of it: one that is well, one that does not come up"):
                self._make_bundles(doctored, keys, self.bundles)

    def _make_bundles(self, doctored: Doctored, keys: Path, disk: Path) -> None:
        files = self.folder / "bundles"
        files.mkdir()
        self.good, self.bad = (f"{self._later(minor)}-f0f0f0f0f0f0f0f0" for minor in (1, 2))
        for name, build, changes in (("good", self.good, None), ("bad", self.bad, BROKEN)):
            content = self.folder / name / "content"
            content.parent.mkdir()
            doctored.root(content, build, changes)
            made = make_from_root(content, {"rootfs": "root.ext4"}, keys, files, self.version, ["For tests."])
            made.rename(files / f"{name}.raucb")
            shutil.rmtree(content.parent)
        size_mb = sum(each.stat().st_size for each in files.iterdir()) * 11 // 10_000_000 + 16
        words = ["mke2fs", "-q", "-t", "ext4", "-d", str(files), str(disk), f"{size_mb}M"]
        subprocess.run(words, check=True, capture_output=True)

    def _later(self, by: int) -> str:
        parts = [int(part) for part in self.version.split(".")]
        return ".".join(map(str, [*parts[:-1], parts[-1] + by]))

    def all(self) -> None:
        """Every step. Raises NotInTime, UserError."""
        if self.patience > 1:
            self.say(f"without KVM: the box in the copy has {self.patience:.0f} times its patience, too")
        self.say(f"QEMU with {self.kind}; the console is in {self.machine.serial_path}")
        with self.step("From power-on to the page (UEFI, GRUB, slot A)"):
            self.wait_for_page(240)
        with self.step("Claimed, with the code from the console"):
            self.claim()
        with self.step("Slot A is good"):
            self.wait_for_slot("A", self.build)
        if self.with_updates:
            self.update_well()
            self.update_badly()
            self.hang()
        self.say("all is well")

    def client(self) -> httpx.Client:
        """A browser of the machine's page."""
        return httpx.Client(base_url=f"https://127.0.0.1:{self.machine.https}", verify=False, timeout=30)  # noqa: S501

    def page_answers(self) -> bool:
        """Whether the page is there."""
        try:
            with self.client() as client:
                return client.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def wait_for_page(self, usual_s: float) -> None:
        """Until it is."""
        self.machine.wait(self.page_answers, usual_s * self.patience, "the page")

    def claim(self) -> None:
        """Be the first admin."""
        try:
            code = self.machine.wait_for_serial(CODE, 30 * self.patience)[1]
        except NotInTime:
            self.say("no claim code on the console yet; the shell is asked")
            found = re.search(CODE, self.machine.run("runuser -u mb9k -- mb9k claim", 60 * self.patience))
            code = found[1] if found else ""
        with self.client() as page:
            token = re.search(r'name="csrf" value="([^"]*)"', page.get("/claim").text)
            form = {"csrf": token[1] if token else "", "name": "ann", "code": code}
            answer = page.post("/claim", data={**form, "password": PASSWORD, "again": PASSWORD})
        if answer.headers.get("location") != "/":
            raise UserError(f"the claim with code {code} was answered with {answer.status_code}")

    def wait_for_slot(self, slot: str, build: str) -> None:
        """Until this slot runs this build, is good, and no update is under way."""

        def is_there() -> bool:
            try:
                said = self.machine.run(SETTLED, 60 * self.patience)
            except (NotInTime, UserError):
                self.machine.forget_shell()
                return False
            lines = [line for line in said.splitlines() if line.startswith(f"{slot}\t")]
            return "settled" in said and any("good" in line and f"runs {build}" in line for line in lines)

        self.machine.wait(is_there, 400 * self.patience, f"slot {slot} runs {build} and is good")

    def _install(self, name: str) -> None:
        machine = self.machine
        machine.run(BUNDLES, 60 * self.patience)
        began = len(machine.serial())
        try:
            machine.run(
                f"mb9k update --yes /run/bundles/{name}.raucb", 900 * self.patience, lambda line: self.say(f"  {line}")
            )
        except NotInTime as error:
            if "is gone" not in str(error):
                raise
        machine.forget_shell()
        machine.wait_for_serial(r"mb9k: slot B;|mb9k: slot A;", 200 * self.patience, began)  # GRUB, once more

    def update_well(self) -> None:
        """A newer system takes over."""
        with self.step(f"Update of the system from {self.build} to {self.good}, written while the box runs"):
            self._install("good")
        with self.step("The new system starts in slot B, is well, and stays"):
            self.wait_for_slot("B", self.good)
        self._refuse_lost_people()

    def update_badly(self) -> None:
        """A system that does not come up is undone."""
        began = len(self.machine.serial())
        with self.step(f"Update to {self.bad}, which does not come up"):
            self._install("bad")
        with self.step("It is started three times, and then the old system is back"):
            self.wait_for_slot("B", self.good)
        starts = re.findall(STARTED, self.machine.serial(began), re.DOTALL)
        self.say(f"GRUB started the slots {' '.join(starts)}")
        if starts[:4] != ["A", "A", "A", "B"]:
            raise UserError(f"the slots should have been started as A A A B, and were as {' '.join(starts)}")
        outcome = self.machine.run("mb9k update list", 60 * self.patience).splitlines()[-1]
        self.say(f"  {outcome}")
        if "undone" not in outcome:
            raise UserError("the box does not say that the update was undone")
        self._refuse_lost_people()

    def hang(self) -> None:
        """A kernel that hangs is restarted by the watchdog."""
        self.machine.watchdog_resets()
        with self.step("A kernel that hangs (panic without a restart) is restarted by the watchdog"):
            self.machine.run("sysctl -w kernel.panic=0 kernel.sysrq=1; sync", 60 * self.patience)
            # By systemd, since what the shell itself starts ends with its connection.
            words = "systemd-run --quiet --on-active=2 sh -c 'echo c >/proc/sysrq-trigger'"
            self.machine.run(words, 60 * self.patience)
            self.machine.forget_shell()
            self.machine.wait(lambda: self.machine.watchdog_resets() > 0, 120 * self.patience, "the watchdog")
        with self.step("The box is back"):
            self.wait_for_page(240)
            self.wait_for_slot("B", self.good)

    def _refuse_lost_people(self) -> None:
        """Raise UserError if who claimed the box is not on record."""
        people = self.machine.run("runuser -u mb9k -- mb9k user list", 60 * self.patience)
        if "ann" not in people:
            raise UserError(f"who claimed the box is gone: {people}")


def find_image(target: str) -> Path:
    """The image that image/build made last. Raises UserError."""
    path = REPOSITORY / "image/out" / IMAGE.format(target=target)
    if not path.exists():
        raise UserError(f"{path} is not there; make it with image/build {target}, or name one")
    return path


@click.command()
@click.argument("image", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--target", type=click.Choice(list(EMULATED)), default="amd64", show_default=True, help="What it is for.")
@click.option("--only-start", is_flag=True, help="From power-on to claimed; no update, no hang.")
@click.option("--work", type=click.Path(path_type=Path), help="Where disks and logs go; without it beside the image.")
@click.option("--memory", "memory_mb", default=1536, show_default=True, help="The machine's memory, MB.")
def main(image: Path | None, target: str, only_start: bool, work: Path | None, memory_mb: int) -> None:
    """Boot IMAGE (mb9k-TARGET.img) in QEMU: from UEFI to claimed, updated, undone, hung and restarted.

    The image itself is not changed: a copy gets a shell and an authority for tests. If a step fails, the exit code is
    1, and the last line says where the console's log is.
    """
    run: Run | None = None
    folder: Path | None = None
    try:
        refuse_without_programs()
        emulated = EMULATED[target]
        if not shutil.which(emulated.program):
            raise UserError(f"QEMU is missing; install it: apt-get install {emulated.package}")
        image = image or find_image(target)
        folder = (work or image.parent / "test-qemu").resolve()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run = Run(target, image, folder, memory_mb, with_updates=not only_start)
        run.all()
    except (UserError, NotInTime, OSError, httpx.HTTPError, subprocess.SubprocessError) as error:
        where = f"; the console's log is {run.machine.serial_path}" if run else ""
        click.echo(f"failed: {error}{where}", err=True)
        sys.exit(1)
    finally:
        if run:
            run.machine.stop()


if __name__ == "__main__":
    main()
