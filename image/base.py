"""The base: a Debian with all packages and nothing of ours, kept by its inputs since it takes minutes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from image.targets import PACKAGES, PI_FIRMWARE, SUITE, Target
from image.tools import run

MIRROR = "http://deb.debian.org/debian"
COMPONENTS = "main non-free-firmware"
USER_ID = 850
"""mb9k's, the same in every image: the data partition outlives a root whose packages number their users otherwise."""
HOOK = f"""
chroot "$1" groupadd --system --gid {USER_ID} mb9k
chroot "$1" useradd --system --uid {USER_ID} --gid mb9k --home-dir /nonexistent --shell /usr/sbin/nologin mb9k
"""
HOOK_OF_PI = f"""
cd "$1/tmp"; chroot "$1" sh -ec 'cd /tmp; apt-get -q download {PI_FIRMWARE}; dpkg-deb -x {PI_FIRMWARE}_*.deb firmware'
mv firmware/usr/lib/raspi-firmware ../usr/lib/; basename {PI_FIRMWARE}_*.deb .deb >../usr/lib/raspi-firmware/package
rm -rf firmware {PI_FIRMWARE}_*.deb
"""
OPTIONS = (
    "--variant=minbase",
    "--mode=root",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    f"--customize-hook={HOOK}",
)


def options(target: Target) -> list[str]:
    """What mmdebstrap is told beside the packages."""
    return [*OPTIONS, *([f"--customize-hook={HOOK_OF_PI}"] if target.is_pi else [])]


def cache() -> Path:
    """Where bases, initramfs and wheels are kept: beside what the role keeps."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mb9k"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sources(target: Target, mirror: str) -> list[str]:
    """The lines of sources.list."""
    suites = [(mirror, SUITE), (mirror, f"{SUITE}-updates"), (f"{mirror}-security", f"{SUITE}-security")]
    if target.kernel_suite:
        suites.append((mirror, target.kernel_suite))
    return [f"deb {address} {suite} {COMPONENTS}" for address, suite in suites]


def base_key(target: Target) -> str:
    """What the base is made from, as 16 hexadecimal digits."""
    inputs = (SUITE, target.architecture, target.kernel_suite, sorted({*PACKAGES, *target.packages}), options(target))
    return hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]


def base_path(target: Target) -> Path:
    """Where the base lies, or will lie."""
    return cache() / f"image-base-{target.name}-{base_key(target)}.tar"


def make_base(target: Target, log_path: Path) -> None:
    """Make the base, minutes. Raises UserError."""
    path = base_path(target)
    draft = path.with_name(f"draft-{os.getpid()}-{path.name}")
    mirror = os.environ.get("MB9K_DEBIAN_MIRROR") or MIRROR
    pins = []
    if target.kernel_suite:
        kernel = next(each for each in target.packages if each.startswith("linux-image-"))
        pins = [f"{kernel}/{target.kernel_suite}"]
    packages = [each for each in (*PACKAGES, *target.packages) if f"{each}/{target.kernel_suite}" not in pins]
    command = ["mmdebstrap", f"--architectures={target.architecture}", *options(target)]
    command += [f"--include={','.join([*packages, *pins])}", SUITE, str(draft), *sources(target, mirror)]
    try:
        run(command, log_path, variables={"INITRD": "No", "TMPDIR": str(path.parent)})
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    for old in path.parent.glob(f"image-base-{target.name}-*.tar"):
        if old != path:
            old.unlink()
