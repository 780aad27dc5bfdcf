"""A signed bundle of wheels, for `mb9k update FILE`. The same wheels and signer give the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from appliance.certificates import CertificateError
from appliance.update.bundle import FORMAT, Manifest, Wheel, write
from appliance.update.versions import this_machine, this_python
from scripts.signing_keys import REPOSITORY, SIGNER, SIGNER_KEY

PIP = "pip==26.3"
SCHEMA = "import json; from appliance.store.soundness import newest_known; print(json.dumps(newest_known()))"


def fetch_wheels(folder: Path, extras: str) -> None:
    """The wheel of this checkout, those of all it needs, and pip, for this machine. Raises CalledProcessError."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (own,) = folder.glob("mb9k-*.whl")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "-d", str(folder)]
    subprocess.run([*download, f"mb9k[{extras}] @ {own.as_uri()}", PIP], check=True)


def describe(wheels: Sequence[Path], python: str, machine: str, updates_from: str, notes: Sequence[str]) -> Manifest:
    """The manifest of a bundle of these wheels, mb9k's among them. Raises ValueError: it is not."""
    own = [wheel for wheel in wheels if wheel.name.startswith("mb9k-")]
    if len(own) != 1 or not any(wheel.name.startswith("pip-") for wheel in wheels):
        raise ValueError("among the wheels there must be one of mb9k and one of pip")
    version = own[0].name.split("-")[1]
    manifest = Manifest(
        FORMAT,
        version,
        updates_from,
        python,
        machine,
        _schema(own[0]),
        [_wheel(wheel) for wheel in sorted(wheels)],
        list(notes),
    )
    return msgspec.convert(msgspec.to_builtins(manifest), Manifest)  # refuses what a box would refuse


def _wheel(path: Path) -> Wheel:
    with zipfile.ZipFile(path) as archive:
        unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    return Wheel(path.name, path.stat().st_size, unpacked_bytes, hashlib.sha256(path.read_bytes()).hexdigest())


def _schema(own: Path) -> dict[str, int]:
    """The form of the record that this wheel knows: the code in it is asked."""
    environment = {**os.environ, "PYTHONPATH": str(own)}
    done = subprocess.run(
        [sys.executable, "-c", SCHEMA], env=environment, check=True, capture_output=True, text=True, cwd="/"
    )
    schema: dict[str, int] = json.loads(done.stdout)
    return schema


@click.command()
@click.option("--keys", type=click.Path(path_type=Path), required=True, help="The folder with the signer.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder that the bundle goes to.")
@click.option("--from", "updates_from", required=True, help="The oldest version that this one may follow.")
@click.option("--wheels", "folder", type=click.Path(path_type=Path), help="Take these wheels, mb9k's and pip's among.")
@click.option("--python", default=this_python(), show_default=True, help="The Python that the wheels are for.")
@click.option("--machine", default=this_machine(), show_default=True, help="The processor that they are for.")
@click.option("--extras", default="box", show_default=True, help="The extras of mb9k to fetch.")
@click.option("--note", "notes", multiple=True, help="What is new, for people; may be given more than once.")
def main(
    keys: Path,
    out: Path,
    updates_from: str,
    folder: Path | None,
    python: str,
    machine: str,
    extras: str,
    notes: tuple[str, ...],
) -> None:
    """Make a signed bundle of this checkout for `mb9k update FILE`."""
    with tempfile.TemporaryDirectory() as fetched:
        if folder is None:
            click.echo("Fetching the wheels ...", err=True)
            fetch_wheels(Path(fetched), extras)
        wheels = sorted((folder or Path(fetched)).glob("*.whl"))
        try:
            manifest = describe(wheels, python, machine, updates_from, notes)
            path = out / f"mb9k-{manifest.version}-py{python}-{machine}.mb9k"
            out.mkdir(parents=True, exist_ok=True)
            by_name = {wheel.name: wheel for wheel in wheels}
            write(path, manifest, by_name, (keys / SIGNER_KEY).read_bytes(), (keys / SIGNER).read_text())
        except (OSError, ValueError, CertificateError, msgspec.ValidationError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{path} ({path.stat().st_size // 1_000_000} MB, {len(wheels)} wheels)")


if __name__ == "__main__":
    main()
