"""Child processes: they end with us, and those that may have none can start none."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.processes import can_be_childless, start_child

needs_filters = pytest.mark.skipif(not can_be_childless(), reason="this kernel has no seccomp filters")

WAYS = {
    "fork": "os.fork() or os._exit(0)",
    "vfork or clone": "subprocess.run(['/bin/true'], check=True)",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "clone": "call(CLONE, 17)",  # SIGCHLD
    "clone with shared memory": "call(CLONE, 0x4111)",  # CLONE_VFORK | CLONE_VM | SIGCHLD, as Go does it
    "clone3": "call(435, ctypes.byref((ctypes.c_uint64 * 8)(0, 0, 0, 0, 17)), 64)",
}
SCRIPT = """
import ctypes, os, subprocess, sys, threading
CLONE = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
libc = ctypes.CDLL(None, use_errno=True)
def call(number, first, *more):
    found = libc.syscall(number, first, *(more or (0, 0, 0, 0)))
    if found == 0:
        os._exit(0)  # we are the child
    if found < 0:
        raise OSError(ctypes.get_errno(), "refused")
thread = threading.Thread(target=lambda: print("a thread", flush=True)); thread.start(); thread.join()
try:
    WAY
    print("a process", flush=True)
except OSError as error:
    print("refused", flush=True)
"""


def said(way: str, childless: bool) -> list[str]:
    """What a Python that tries this way to start a process says."""
    command = [sys.executable, "-c", SCRIPT.replace("WAY", way)]
    process = start_child(command, childless=childless, stdout=subprocess.PIPE)
    return process.communicate(timeout=20)[0].decode().splitlines()


@needs_filters
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_childless_process_may_begin_threads_but_no_process(way: str) -> None:
    assert said(way, childless=True) == ["a thread", "refused"]


@needs_filters
@pytest.mark.parametrize("way", [way for name, way in WAYS.items() if name != "clone with shared memory"])
def test_any_other_may_begin_both(way: str) -> None:
    assert "a process" in said(way, childless=False)


@needs_filters
def test_what_it_becomes_is_childless_too() -> None:
    command = ["/bin/sh", "-c", 'exec /bin/sh -c "/bin/true; echo began"']
    process = start_child(command, childless=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=20)
    assert output == b""
    assert b"fork" in errors


def test_it_ends_with_us_by_the_signal_that_was_asked_for(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    script = (
        "import subprocess, sys, time; from appliance.processes import start_child\n"
        f"child = start_child([sys.executable, '-c', {stubborn!r}], end_signal={int(signal.SIGKILL)},"
        " stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return
        except OSError:
            return
        signal.sigtimedwait([], 0.02)
    raise AssertionError("it lives on")
