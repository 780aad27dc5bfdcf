"""What is in an image, as CycloneDX 1.6: Debian's packages and the wheels of the release."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from email import message_from_string
from pathlib import Path
from typing import Any
from urllib.parse import quote

from image.root import RELEASES
from image.targets import PI_FIRMWARE


def debian_packages(root: Path) -> list[dict[str, Any]]:
    """The packages that dpkg knows in a root, and the firmware that was unpacked beside it, by name."""
    found = []
    for paragraph in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = message_from_string(paragraph.strip())
        if str(fields["Status"]).endswith(" installed"):
            found.append((str(fields["Package"]), str(fields["Version"]), str(fields["Architecture"])))
    unpacked = root / "usr/lib" / PI_FIRMWARE / "package"
    if unpacked.exists():
        name, version, architecture = unpacked.read_text().strip().split("_")
        found.append((name, version.replace("%3a", ":"), architecture))
    return [_debian(*each) for each in sorted(found)]


def _debian(name: str, version: str, architecture: str) -> dict[str, Any]:
    address = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro=debian-13"
    return {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address}


def python_packages(root: Path) -> list[dict[str, Any]]:
    """The packages in the release's virtual environment, by name."""
    found = []
    for path in root.glob(f"{RELEASES}/*/lib/python3*/site-packages/*.dist-info/METADATA"):
        fields = message_from_string(path.read_text(errors="replace"))
        found.append((str(fields["Name"]).lower(), str(fields["Version"])))
    return [
        {"type": "library", "bom-ref": address, "name": name, "version": version, "purl": address}
        for name, version in sorted(set(found))
        for address in [f"pkg:pypi/{quote(name)}@{quote(version, safe='')}"]
    ]


def sbom(root: Path, name: str, build: str, epoch_s: int) -> dict[str, Any]:
    """The whole document."""
    made = datetime.fromtimestamp(epoch_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    others = [
        {"type": "application", "bom-ref": f"mediamtx@{version}", "name": "mediamtx", "version": version}
        for path in sorted(root.glob(f"{RELEASES}/mediamtx-*"))
        for version in [path.name.partition("-")[2]]
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'mb9k:{build}:sbom')}",
        "version": 1,
        "metadata": {
            "timestamp": made,
            "component": {"type": "operating-system", "bom-ref": name, "name": name, "version": build},
        },
        "components": [*debian_packages(root), *python_packages(root), *others],
    }
