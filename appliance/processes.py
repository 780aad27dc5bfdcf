"""Child processes: they end when we do, and one that needs no children of its own cannot have any."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # REFUSE | an error number
CLONE_THREAD = 0x10000
X32 = 0x40000000  # x86_64's system calls of the x32 kind begin here
# What a filter sees of a system call (struct seccomp_data): where its number, its machine and its first argument lie.
NUMBER_AT, MACHINE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of classic BPF


@dataclass(frozen=True)
class _Machine:
    """A processor's number (AUDIT_ARCH_...) and its system calls that begin a process. fork: also vfork."""

    number: int
    clone: int
    clone3: int = 435
    fork: tuple[int, ...] = ()


_MACHINES = {"x86_64": _Machine(0xC000003E, 56, fork=(57, 58)), "aarch64": _Machine(0xC00000B7, 220)}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


class _Instruction(ctypes.Structure):
    """struct sock_filter."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_so", ctypes.c_uint8),
        ("if_not", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def start_child(
    command: Sequence[str], *, childless: bool = False, end_signal: int = signal.SIGTERM, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process that ends when we do, by end_signal. childless: it can start no process of its own.

    Ctrl-C does not reach it: we alone decide in which order children end. Raises OSError, subprocess.SubprocessError.
    """
    program = _childless_program() if childless else None

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, end_signal, 0, 0, 0)
        if program is not None:
            _install(program)

    return subprocess.Popen(command, start_new_session=True, preexec_fn=prepare, **options)


def ended_child(command: Sequence[str], timeout_s: float, **options: Any) -> tuple[int, str, str]:
    """Run a process to its end, killed when we end before it: its exit code and what it said on stdout and stderr.

    Raises OSError, subprocess.SubprocessError; subprocess.TimeoutExpired once it was killed for taking too long.
    """
    process = start_child(
        command,
        end_signal=signal.SIGKILL,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        **options,
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return process.returncode, str(out), str(err)


def can_be_childless() -> bool:
    """Whether this machine and its kernel can hold a process back from starting others."""
    if os.uname().machine not in _MACHINES or sys.byteorder != "little":
        return False
    # Without a program to take, a kernel that knows filters calls it a bad address; one that does not, a bad argument.
    _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


def _childless_program() -> _Program:
    """The filter: threads may begin, processes may not. https://docs.kernel.org/userspace-api/seccomp_filter.html"""
    machine = _MACHINES[os.uname().machine]
    refuse = (RETURN, 0, 0, REFUSE | errno.EPERM)
    code: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, MACHINE_AT),
        (EQUAL, 1, 0, machine.number),
        refuse,
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 0, 1, X32),
        refuse,
    ]
    for number in machine.fork:
        code += [(EQUAL, 0, 1, number), refuse]
    code += [
        # Its flags lie in memory, which a filter cannot read. "No such call" makes everybody use the older one.
        (EQUAL, 0, 1, machine.clone3),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
        (EQUAL, 0, 3, machine.clone),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (ANY_BIT, 1, 0, CLONE_THREAD),
        refuse,
        (RETURN, 0, 0, ALLOW),
    ]
    instructions = (_Instruction * len(code))(*(_Instruction(*one) for one in code))
    return _Program(len(code), instructions)


def _install(program: _Program) -> None:
    """Put this process, and what it becomes, under a filter, for good. Raises OSError."""
    for words in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0),
    ):
        if _libc.prctl(*words):
            raise OSError(ctypes.get_errno(), "this process cannot be kept from starting others")
