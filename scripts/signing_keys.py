"""The keys that sign updates. The authority's key belongs on a machine without a network, the signer's where bundles
are made; boxes have the authority's certificate only."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from appliance.certificates import Authority, new_key
from appliance.errors import UserError

REPOSITORY = Path(__file__).parent.parent
AUTHORITY, AUTHORITY_KEY = "update-authority.pem", "update-authority.key"
SIGNER, SIGNER_KEY = "signer.pem", "signer.key"


def make_authority(folder: Path, now_s: float) -> None:
    """An authority's certificate and key. Raises UserError, OSError."""
    authority, key = Authority.make("updates", now_s)
    _write(folder / AUTHORITY_KEY, key, 0o600)
    _write(folder / AUTHORITY, authority.certificate.encode(), 0o644)


def make_signer(folder: Path, name: str, now_s: float) -> None:
    """A signer's certificate and key, by the authority in the folder. Raises UserError, OSError."""
    try:
        authority = Authority((folder / AUTHORITY).read_text(), (folder / AUTHORITY_KEY).read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is not there; only the authority can vouch for a signer") from error
    key = new_key()
    _write(folder / SIGNER_KEY, key, 0o600)
    _write(folder / SIGNER, authority.sign_signer(key, name, now_s).pem.encode(), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise UserError(f"{path} is there already; move it away first") from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--signer", "signer_only", is_flag=True, help="Another signer by the authority that is there.")
@click.option("--name", default="mb9k updates", show_default=True, help="The signer's name, which boxes show.")
def main(folder: Path, signer_only: bool, name: str) -> None:
    """Make an authority for updates and a signer in FOLDER, which must lie outside the repository."""
    if folder.resolve().is_relative_to(REPOSITORY.resolve()):
        raise click.ClickException(f"{folder} lies in the repository, where no key may be; name another folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if not signer_only:
            make_authority(folder, time.time())
        make_signer(folder, name, time.time())
    except UserError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{folder / AUTHORITY} goes to every box, as update.authority of its configuration names it.")
    click.echo(f"{SIGNER_KEY} and {SIGNER} sign bundles. Keep {AUTHORITY_KEY} where no network is; losing it means")
    click.echo("that no box takes another signer, and whoever has it can run anything on every box.")


if __name__ == "__main__":
    main()
