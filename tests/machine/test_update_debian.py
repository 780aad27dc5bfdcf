"""An update from the page on a whole Debian: systemd starts root's part, which outlives the page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.boxes import until
from tests.machine.test_machine_room import PATIENCE_S, all_are_active, answers, claimed
from tests.machines import Machine, Playbooks, skip_without_containers, wheel, wheels
from tests.update_pages import upload_address
from tests.update_room import Bundles

TAKES_OVER_S = 300.0


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    skip_without_containers()
    made = Machine(tmp_path / "root")
    yield made
    print(made.log_path.read_text(errors="replace")[-2000:] if made.log_path.exists() else "")
    shutil.rmtree(made.root)


@pytest.mark.timeout(2400)
def test_an_admin_updates_a_machine_from_the_page_and_goes_back(
    machine: Machine, tmp_path: Path, bundles: Bundles
) -> None:
    ours = wheel(tmp_path / "wheel")
    (tmp_path / "authority.pem").write_text(bundles.authority)
    knobs = {"mb9k_package": str(ours), "mb9k_wheels": str(wheels(ours, ["box"])), "mb9k_mediamtx": "none"}
    playbooks = Playbooks(tmp_path, machine, **knobs, mb9k_update_authority=str(tmp_path / "authority.pem"))
    playbooks.play("site.yml")
    releases = machine.root / "var/lib/mb9k-releases"
    first = releases.joinpath("current").readlink().name
    site = next((releases / first / "lib").glob("python3.*/site-packages"))
    bundle = bundles.make("0.2.0", python=site.parts[-2][6:], site=f"/{site.relative_to(machine.root)}")

    with machine.booted():
        until(all_are_active(machine), PATIENCE_S, "all of it runs")
        until(answers, PATIENCE_S, "it answers")
        with claimed(machine) as ann:
            _it_is_updated_and_goes_back(machine, ann.page, bundle, first)
        assert playbooks.play("site.yml")["changed"] == 0


def _it_is_updated_and_goes_back(machine: Machine, page: httpx.Client, bundle: Path, first: str) -> None:
    releases = machine.root / "var/lib/mb9k-releases"
    assert f">{first}<" in page.get("/updates").text, "the site reads the folder of releases"
    address = upload_address(page.get("/updates").text)
    sent = page.post(address, data={"csrf": csrf(page)}, files={"bundle": ("new.mb9k", bundle.read_bytes())})
    assert sent.status_code == 303, sent.text
    begun = page.post("/updates/start", data={"csrf": csrf(page)}, timeout=120)
    assert begun.status_code == 303, begun.text
    until(lambda: "0.2.0 runs since" in seen(page), TAKES_OVER_S, "the new release")
    assert releases.joinpath("current").readlink().name == "0.2.0"
    until(lambda: not (releases / ".waiting.mb9k").exists(), PATIENCE_S, "root's copy goes")
    assert list((machine.root / "var/lib/mb9k/uploads").glob("*.bundle")) == []
    assert machine.run("systemctl", "--failed", "--no-legend").strip() == ""
    assert page.post("/updates/back", data={"csrf": csrf(page)}).status_code == 303
    until(lambda: f"{first} runs since" in seen(page), TAKES_OVER_S, "the release before")


def csrf(page: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([^"]*)"', page.get("/updates").text)
    assert found
    return found[1]


def seen(page: httpx.Client) -> str:
    """What the page shows; nothing while the site restarts."""
    try:
        return page.get("/updates").text
    except httpx.HTTPError:
        return ""
