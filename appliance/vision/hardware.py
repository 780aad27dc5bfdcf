"""What machine this is, as a person who compares figures must know it. Nothing in it tells whose machine it is."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path("/")
PACKAGES = ("mb9k", "numpy", "onnxruntime", "av", "tensorrt", "pycuda")
ASKING_S = 10.0


def described(root: Path = ROOT) -> dict[str, str]:
    """What is known of it, by name: board, processor, memory, system, JetPack, power mode, versions, load.

    root: where the files of the system lie.
    """
    known = {
        "board": _text(root / "proc/device-tree/model") or _text(root / "sys/class/dmi/id/product_name"),
        "processor": _processor(root),
        "memory": _memory(root),
        "system": _system(root),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "L4T": l4t(root),
        "JetPack": _said("dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"),
        "power mode": _said("nvpmodel", "-q").partition("\n")[0].removeprefix("NV Power Mode: "),
        "Python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }
    known |= {name: version for name in PACKAGES if (version := _version(name))}
    return {name: value for name, value in known.items() if value}


def l4t(root: Path = ROOT) -> str:
    """The release of NVIDIA's Linux for Tegra, such as R36.4.3; empty: this is no Jetson."""
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", _text(root / "etc/nv_tegra_release"))
    return f"R{found[1]}.{found[2]}" if found else ""


def _processor(root: Path) -> str:
    names = re.findall(r"^model name\s*: (.+)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    if not names:  # on ARM the kernel gives numbers, which lscpu knows the names of
        names = re.findall(r"^Model name:\s*(.+)$", _said("lscpu"), re.MULTILINE)
    return ", ".join([*dict.fromkeys(names), f"{os.cpu_count()} processors"])


def _memory(root: Path) -> str:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return f"{int(found[1]) / 1024**2:.1f} GiB" if found else ""


def _system(root: Path) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', _text(root / "etc/os-release"), re.MULTILINE)
    return found[1] if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _said(*command: str) -> str:
    """What a program says, if it is there and all goes well."""
    if shutil.which(command[0]) is None:
        return ""
    english = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASKING_S, check=True, env=english)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
