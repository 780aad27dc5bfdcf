"""Ansible's connection to a root folder on this machine: by chroot, or into the container that runs on it.

Each command gets its own mount namespace with /proc, /sys and /dev, so nothing stays mounted. Needs root.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: mb9k_root
short_description: Work in a root folder on this machine
description: By chroot, or in the namespaces of a container that was started on the folder.
author: the contributors of mb9k
options:
  remote_addr:
    description: The folder.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
  leader:
    description: The process number of the container's first process, as this machine sees it; 0 is chroot.
    type: int
    default: 0
    vars:
      - name: mb9k_root_leader
"""
CHROOT = """
set -e
mount --bind "$1" "$1"; cd "$1"
mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev
[ -e etc/resolv.conf ] && mount --bind "$(realpath /etc/resolv.conf)" etc/resolv.conf || true
exec chroot . /bin/sh -c "$2"
"""
ENVIRONMENT = [
    "env",
    "-i",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
]


class Connection(ConnectionBase):
    """One host: a root folder."""

    transport = "mb9k_root"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def close(self) -> None:
        """Nothing is open."""
        self._connected = False

    def _command(self, command: str) -> list[str]:
        leader = self.get_option("leader")
        if leader:
            return [
                "nsenter",
                f"--target={leader}",
                "-m",
                "-u",
                "-i",
                "-n",
                "-p",
                *ENVIRONMENT,
                "/bin/sh",
                "-c",
                command,
            ]
        outside = ["unshare", "--mount", "--propagation=private", "/bin/sh", "-c", CHROOT, "chroot"]
        return [*ENVIRONMENT, *outside, self.get_option("remote_addr"), command]

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command there: exit code, standard output, standard error."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        done = subprocess.run(self._command(cmd), input=in_data or b"", capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file there."""
        super().put_file(in_path, out_path)
        with Path(in_path).open("rb") as file:
            self._copy(f"cat >{shlex.quote(out_path)}", stdin=file)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file from there."""
        super().fetch_file(in_path, out_path)
        with Path(out_path).open("wb") as file:
            self._copy(f"cat {shlex.quote(in_path)}", stdin=subprocess.DEVNULL, stdout=file)

    def _copy(self, command: str, **streams: object) -> None:
        done = subprocess.run(self._command(command), stderr=subprocess.PIPE, check=False, **streams)
        if done.returncode:
            raise AnsibleConnectionFailure(f"{command}: {done.stderr.decode(errors='replace')}")
