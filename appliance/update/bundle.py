"""The bundle: one file with a manifest, its signature, the signer's certificate, and the wheels.

A tar file that is not compressed (wheels are), so that anybody can look into it. Nothing of the manifest is believed
before its signature was verified, and nothing of a wheel before its sha-256, which stands in the manifest.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from appliance.certificates import CertificateError, sign, verify_signed
from appliance.language import N_, _
from appliance.outside import system_words
from appliance.retold import retold
from appliance.update.versions import VERSION, UpdateError

FORMAT = 1
MANIFEST, SIGNATURE, SIGNER = "manifest.json", "manifest.sig", "signer.pem"
HEAD = (MANIFEST, SIGNATURE, SIGNER)
MAX_HEAD_BYTES = 1_000_000
MAX_WHEELS = 200
CHUNK_BYTES = 1 << 20
NEXT_STEP = N_("fetch it again from who makes your updates")

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
WheelName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,200}\.whl$")]
Version = Annotated[str, msgspec.Meta(pattern=VERSION)]


class Wheel(msgspec.Struct, frozen=True):
    """One wheel of a bundle. unpacked_bytes: of all its files."""

    file: WheelName
    size_bytes: Annotated[int, msgspec.Meta(ge=1)]
    unpacked_bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Sha256

    @property
    def package(self) -> str:
        """Name and version: onnxruntime 1.32.0."""
        return " ".join(self.file.split("-")[:2])


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle says of itself; a later format may say more.

    updates_from: the oldest version that it may follow. schema: the newest migration of each set that it knows, by
    which one sees beforehand whether the record's form changes. python, machine: what its wheels are for. notes: what
    is new, for people, a line each.
    """

    format: int
    version: Version
    updates_from: Version
    python: Annotated[str, msgspec.Meta(pattern=r"^3\.[0-9]{1,2}$")]
    machine: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,40}$")]
    schema: dict[str, int]
    wheels: Annotated[list[Wheel], msgspec.Meta(min_length=1, max_length=MAX_WHEELS)]
    notes: list[str] = []

    @property
    def bundle_bytes(self) -> int:
        """What the wheels take, as they are."""
        return sum(wheel.size_bytes for wheel in self.wheels)

    @property
    def installed_bytes(self) -> int:
        """What they take when they are installed: a quarter more for what Python compiles."""
        return sum(wheel.unpacked_bytes for wheel in self.wheels) * 5 // 4


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature and sums were right when it was looked at. signer: the name in its certificate."""

    path: Path
    manifest: Manifest
    signer: str


def verified(path: Path, authorities: str, now_s: float) -> Bundle:
    """Look at all of a bundle: who signed it, and every sum. authorities: PEM. Raises UpdateError."""
    with _opened(path) as file:
        told, signature, certificate = (_head(file, name, path) for name in HEAD)
        try:
            signer = verify_signed(told, signature, certificate.decode("ascii", "replace"), authorities, now_s)
        except CertificateError as error:
            raise UpdateError(
                _(
                    "{path} is not taken: {error}; {next_step}, or see docs/updates.md",
                    path=path,
                    error=retold(str(error)),
                    next_step=_(NEXT_STEP),
                )
            ) from error
        manifest = _manifest(told, path)
        for wheel in manifest.wheels:
            _take(file, wheel, path)
    return Bundle(path, manifest, signer.name)


def stage(bundle: Bundle, folder: Path) -> list[Path]:
    """Put the wheels into a folder, which is made. Raises UpdateError, OSError.

    Each is summed again as it is written: the file may have changed meanwhile.
    """
    folder.mkdir(mode=0o700)
    staged = []
    with _opened(bundle.path) as file:
        for name in HEAD:
            _head(file, name, bundle.path)
        for wheel in bundle.manifest.wheels:
            with (folder / wheel.file).open("xb") as out:
                _take(file, wheel, bundle.path, out)
            staged.append(folder / wheel.file)
    return staged


def write(path: Path, manifest: Manifest, wheels: Mapping[str, Path], key: bytes, certificate: str) -> None:
    """Make a bundle: the same bytes from the same wheels, signer and manifest. Raises CertificateError, OSError.

    wheels: where each that the manifest names lies.
    """
    told = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in ((MANIFEST, told), (SIGNATURE, sign(key, told)), (SIGNER, certificate.encode())):
            archive.addfile(_entry(name, len(content)), io.BytesIO(content))
        for wheel in manifest.wheels:
            with wheels[wheel.file].open("rb") as content_of:
                archive.addfile(_entry(wheel.file, wheel.size_bytes), content_of)


def packages(wheels: Sequence[Wheel]) -> dict[str, str]:
    """The version of each package, by its name."""
    split = (wheel.package.split(" ", 1) for wheel in wheels)
    return {name.replace("_", "-").lower(): version for name, version in split}


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)  # time, owner and mode are always the same
    entry.size = size_bytes
    return entry


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if path.exists() and not path.is_file():
            raise UpdateError(_("{path} is no file; name the bundle that you fetched", path=path))
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise UpdateError(_("{path}: no such file; name the bundle that you fetched", path=path)) from error
    except OSError as error:
        if error.filename != str(path):
            raise
        raise UpdateError(
            _(
                "{path} cannot be read ({strerror}); {next_step}",
                path=path,
                strerror=system_words(error),
                next_step=_(NEXT_STEP),
            )
        ) from error


def _size_of_next(file: BinaryIO, name: str, path: Path) -> int:
    """The size of the next member, which must be this file.

    Read header by header: what nobody has signed yet must not say how much is read at once.
    """
    header = file.read(tarfile.BLOCKSIZE)
    if len(header) < tarfile.BLOCKSIZE or not any(header):
        raise UpdateError(
            _(
                "{path} ends before {name}: not all of it came; {next_step}",
                path=path,
                name=name,
                next_step=_(NEXT_STEP),
            )
        )
    try:
        entry = tarfile.TarInfo.frombuf(header, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise UpdateError(_("{path} is no bundle of mb9k; {next_step}", path=path, next_step=_(NEXT_STEP))) from error
    if (entry.name, entry.type) != (name, tarfile.REGTYPE):
        raise UpdateError(
            _(
                "{path} is no bundle of mb9k: where {name} should be, there is something else; {next_step}",
                path=path,
                name=name,
                next_step=_(NEXT_STEP),
            )
        )
    return entry.size


def _head(file: BinaryIO, name: str, path: Path) -> bytes:
    size_bytes = _size_of_next(file, name, path)
    if not 0 <= size_bytes <= MAX_HEAD_BYTES:
        raise UpdateError(
            _(
                "{path} is no bundle of mb9k: its {name} is too long; {next_step}",
                path=path,
                name=name,
                next_step=_(NEXT_STEP),
            )
        )
    read = file.read(size_bytes)
    if len(read) < size_bytes:
        raise UpdateError(
            _(
                "{path} ends within {name}: not all of it came; {next_step}",
                path=path,
                name=name,
                next_step=_(NEXT_STEP),
            )
        )
    file.read(-size_bytes % tarfile.BLOCKSIZE)
    return read


def _manifest(told: bytes, path: Path) -> Manifest:
    try:
        form = msgspec.json.decode(told, type=_Format).format
        if form != FORMAT:
            raise UpdateError(
                _(
                    "{path} is of a form that this version does not know ({form}); update to one before it",
                    path=path,
                    form=form,
                )
            )
        return msgspec.json.decode(told, type=Manifest)
    except msgspec.DecodeError as error:
        raise UpdateError(
            _("{path}: its manifest cannot be used ({error}); tell who makes your updates", path=path, error=error)
        ) from error


class _Format(msgspec.Struct):
    format: int


def _take(file: BinaryIO, wheel: Wheel, path: Path, out: BinaryIO | None = None) -> None:
    """Read the next member, which must be this wheel, and write it where that is wanted."""
    if _size_of_next(file, wheel.file, path) != wheel.size_bytes:
        raise UpdateError(
            _(
                "{path}: {file} is not the one that was signed; {next_step}",
                path=path,
                file=wheel.file,
                next_step=_(NEXT_STEP),
            )
        )
    summed, left_bytes = hashlib.sha256(), wheel.size_bytes
    while left_bytes and (chunk := file.read(min(CHUNK_BYTES, left_bytes))):
        left_bytes -= len(chunk)
        summed.update(chunk)
        if out:
            out.write(chunk)
    if left_bytes:
        raise UpdateError(
            _(
                "{path} ends within {file}: not all of it came; {next_step}",
                path=path,
                file=wheel.file,
                next_step=_(NEXT_STEP),
            )
        )
    if summed.hexdigest() != wheel.sha256:
        raise UpdateError(
            _(
                "{path}: {file} is not the one that was signed; {next_step}",
                path=path,
                file=wheel.file,
                next_step=_(NEXT_STEP),
            )
        )
    file.read(-wheel.size_bytes % tarfile.BLOCKSIZE)
