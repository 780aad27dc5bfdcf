"""A machine in QEMU, by UEFI: its serial console as a file, a shell for tests, and what QEMU says of its watchdog."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import UserError
from appliance.processes import start_child
from image.doctored import PORT


@dataclass(frozen=True)
class Emulated:
    """How QEMU is called for a target. firmware: where Debian and Fedora have UEFI's code and its variables."""

    program: str
    package: str
    machine: str
    cpu: str
    processor: str
    firmware: tuple[tuple[str, str], ...]


EMULATED = {
    "amd64": Emulated(
        program="qemu-system-x86_64",
        package="qemu-system-x86 ovmf",
        machine="q35",
        cpu="Nehalem",
        processor="x86_64",
        firmware=(
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ),
    ),
    "arm64": Emulated(
        program="qemu-system-aarch64",
        package="qemu-system-arm qemu-efi-aarch64",
        machine="virt",
        cpu="cortex-a72",  # a Raspberry Pi 4's
        processor="aarch64",
        firmware=(("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),),
    ),
}
TRY_KVM_S = 4.0
MARK = "mb9k-test-answer"


class NotInTime(Exception):
    """Something did not happen within its time; says what."""


def accelerator(emulated: Emulated, folder: Path) -> str:
    """kvm where it can start a machine, else tcg. There are machines whose /dev/kvm cannot run a usual kernel."""
    if os.uname().machine != emulated.processor or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    words = [emulated.program, "-machine", emulated.machine, "-accel", "kvm", "-cpu", "host", "-m", "64"]
    words += ["-display", "none", "-nodefaults", "-serial", "none"]
    log = folder / "kvm.log"
    with log.open("wb") as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        time.sleep(TRY_KVM_S)
        ended = process.poll()
        process.kill()
        process.wait()
    return "tcg" if ended is not None or b"error" in log.read_bytes().lower() else "kvm"


def firmware(emulated: Emulated, folder: Path) -> tuple[Path, Path]:
    """The code of UEFI and a copy of its variables. Raises UserError."""
    for code, variables in emulated.firmware:
        if Path(code).exists() and Path(variables).exists():
            return Path(code), Path(shutil.copy(variables, folder / "vars.fd"))
    raise UserError(f"UEFI for QEMU is missing; install it: apt-get install {emulated.package}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machine:
    """One that runs until `stop`. https: the port on this machine that leads to its page."""

    def __init__(
        self, emulated: Emulated, disk: Path, second_disk: Path | None, folder: Path, kind: str, memory_mb: int
    ) -> None:
        self.serial_path = folder / "serial.log"
        self.https = free_port()
        self._shell_path, self._qmp_path = folder / "shell.sock", folder / "qmp.sock"
        code, variables = firmware(emulated, folder)
        cpu = "host" if kind == "kvm" else emulated.cpu
        accel = "kvm" if kind == "kvm" else "tcg,thread=multi"
        words = [emulated.program, "-machine", emulated.machine, "-accel", accel, "-cpu", cpu]
        words += ["-m", str(memory_mb), "-smp", "2"]
        words += ["-display", "none", "-serial", f"file:{self.serial_path}"]
        words += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
        words += ["-drive", f"if=pflash,format=raw,file={variables}"]
        words += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
        if second_disk:
            words += ["-drive", f"file={second_disk},format=raw,if=virtio,readonly=on"]
        words += ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{self.https}-:443"]
        words += ["-device", "i6300esb", "-watchdog-action", "reset"]
        words += ["-device", "virtio-serial", "-chardev", f"socket,id=shell,path={self._shell_path},server=on,wait=off"]
        words += ["-device", f"virtserialport,chardev=shell,name={PORT}"]
        words += ["-qmp", f"unix:{self._qmp_path},server=on,wait=off"]
        self._log = (folder / "qemu.log").open("wb")
        self._process = start_child(
            words, end_signal=signal.SIGKILL, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        self._shell: socket.socket | None = None
        self._qmp: socket.socket | None = None
        self._said_by_qmp = b""

    def stop(self) -> None:
        """End it, as by pulling the plug."""
        for connection in (self._shell, self._qmp):
            if connection:
                connection.close()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def serial(self, since: int = 0) -> str:
        """What came over the serial console, without escape sequences; since: a length of before."""
        with suppress(FileNotFoundError):
            text = self.serial_path.read_bytes().decode("utf-8", "replace")
            return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|.)|\r", "", text)[since:]
        return ""

    def wait(self, condition: Callable[[], object], patience_s: float, what: str) -> object:
        """Wait until the condition says something true, which it returns. Raises NotInTime."""
        deadline_s = time.monotonic() + patience_s
        while True:
            if self._process.poll() is not None:
                raise NotInTime(f"{what}: QEMU ended with code {self._process.returncode}")
            if found := condition():
                return found
            if time.monotonic() > deadline_s:
                raise NotInTime(f"{what}: not within {patience_s:.0f} s")
            time.sleep(0.5)

    def wait_for_serial(self, pattern: str, patience_s: float, since: int = 0) -> re.Match[str]:
        """Wait until this comes over the serial console."""
        found = self.wait(lambda: re.search(pattern, self.serial(since)), patience_s, f"{pattern!r} on the console")
        assert isinstance(found, re.Match)
        return found

    def run(self, command: str, patience_s: float, say: Callable[[str], None] | None = None) -> str:
        """What a command says, run as root by the machine's shell for tests. say: is told each line as it comes.

        Raises NotInTime; UserError: it failed.
        """
        shell = self._connected(patience_s)
        mark = f"{MARK}-{time.monotonic_ns()}"
        shell.sendall(f'{{ {command}; }} </dev/null; echo "{mark} $?"\n'.encode())
        said, told, deadline_s = b"", 0, time.monotonic() + patience_s
        while True:
            with suppress(TimeoutError):
                if not (piece := shell.recv(65536)):
                    raise NotInTime(f"{command}: its machine is gone")
                said += piece
            lines = said.decode("utf-8", "replace").split("\n")
            for line in lines[told:-1]:
                told += 1
                if line.startswith(mark):
                    out = "\n".join(lines[: told - 1])
                    if line.split()[1] != "0":
                        raise UserError(f"{command}: {out[-600:]}")
                    return out
                if say:
                    say(line)
            if time.monotonic() > deadline_s:
                raise NotInTime(f"{command}: no end within {patience_s:.0f} s; it said: {said[-300:]!r}")

    def forget_shell(self) -> None:
        """Before a restart: what comes later is of another shell."""
        if self._shell:
            self._shell.close()
            self._shell = None

    def _connected(self, patience_s: float) -> socket.socket:
        """The shell, once it answers. What is sent while nobody reads would be lost, or read later."""
        deadline_s = time.monotonic() + patience_s
        while self._shell is None:
            if time.monotonic() > deadline_s:
                raise NotInTime("the shell for tests does not answer")
            shell = socket.socket(socket.AF_UNIX)
            shell.settimeout(3.0)
            try:
                shell.connect(str(self._shell_path))
                shell.sendall(f"\necho {MARK}-hello\n".encode())
                heard = b""
                while f"{MARK}-hello".encode() not in heard:
                    heard += shell.recv(65536) or b""
                self._shell = shell
            except OSError:
                shell.close()
                time.sleep(1)
        return self._shell

    def watchdog_resets(self) -> int:
        """How often QEMU's watchdog reset the machine."""
        if self._qmp is None:
            self._qmp = socket.socket(socket.AF_UNIX)
            self._qmp.connect(str(self._qmp_path))
            self._qmp.sendall(json.dumps({"execute": "qmp_capabilities"}).encode() + b"\n")
            self._qmp.settimeout(0.2)
        with suppress(TimeoutError):
            while piece := self._qmp.recv(65536):
                self._said_by_qmp += piece
        return self._said_by_qmp.count(b'"WATCHDOG"')
