"""A box over HTTPS as a whole: a real `mb9k serve`, real TLS clients, a real Chromium."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec

from appliance import certificates
from appliance.accounts.people import Role
from appliance.cli import cli
from appliance.config import Config, load
from appliance.errors import UserError
from appliance.sections import Web
from appliance.store import Store
from appliance.supervisor import refuse_busy_ports
from appliance.times import now
from tests.boxes import START_S, Box, end, until
from tests.conftest import REPOSITORY
from tests.signers import Signer, pem
from tests.site import PASSWORD, PASSWORD_HASH
from tests.test_browser import CHROMIUM_ARGUMENTS, at_a_browser


class SecureBox:
    """A box whose site runs in a process of its own and speaks HTTPS, with a port that leads on to it."""

    def __init__(self, folder: Path, free_port: Callable[[], int], web: str = "") -> None:
        self.path = folder / "mb9k.toml"
        self.port, self.http_port = free_port(), free_port()
        self.path.write_text(
            f'box = "lobby"\nstate_dir = "{folder / "state"}"\n[web]\nhost = "127.0.0.1"\nport = {self.port}\n'
            f"https = true\nhttp_port = {self.http_port}\n{web}"
        )
        self.config: Config = load(self.path)
        self.store = Store.open(self.config.store_path)
        self.store.people.add("ann", PASSWORD_HASH, Role.ADMIN, now().utc)
        self.address = f"https://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the site, and wait until it answers by HTTPS and is alive by its own heartbeat."""
        command = [sys.executable, "-m", "appliance.cli", "--config", str(self.path), "serve"]
        self.process = subprocess.Popen(command, cwd=REPOSITORY)
        pid = self.process.pid
        until(lambda: (pid, True) in self._heartbeats(), START_S, "it says that it is alive")

    def _heartbeats(self) -> list[tuple[int, bool]]:
        return [(each.pid, each.alive) for each in self.store.services.all(now()) if each.name == "serve"]

    def stop(self) -> None:
        """End it, and the store."""
        if self.process:
            end(self.process)
        self.store.close()

    def trust(self) -> ssl.SSLContext:
        """A client that trusts what the box shows now, and nothing else."""
        text = self.config.served_certificate_path.read_text().partition("-----END PRIVATE KEY-----\n")[2]
        return ssl.create_default_context(cadata=text)

    def shown(self) -> str:
        """The sha-256 of the certificate that the port shows."""
        return certificates.whole_fingerprint(ssl.get_server_certificate(("127.0.0.1", self.port)))


@pytest.fixture
def box(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[SecureBox]:
    made = SecureBox(tmp_path, free_port)
    made.start()
    yield made
    made.stop()


def test_a_box_answers_by_https_to_whoever_trusts_its_certificate(box: SecureBox) -> None:
    answer = httpx.get(f"{box.address}/sign-in", verify=box.trust())
    assert answer.is_success and "strict-transport-security" not in answer.headers
    cookies = answer.headers.get_list("set-cookie")
    assert cookies and all("Secure" in one and one.startswith("__Host-") for one in cookies)
    said = CliRunner().invoke(cli, ["--config", str(box.path), "fingerprint"])
    assert said.output.strip() == box.shown()


def test_plain_http_is_led_to_it(box: SecureBox) -> None:
    led = httpx.get(f"http://localhost:{box.http_port}/streams?search=x")
    assert led.status_code == 301 and led.headers["location"] == f"https://localhost:{box.port}/streams?search=x"
    foreign = httpx.get(f"http://localhost:{box.http_port}/", headers={"Host": "evil.example"})
    assert foreign.status_code == 421 and "location" not in foreign.headers
    followed = httpx.get(f"http://localhost:{box.http_port}/sign-in", follow_redirects=True, verify=box.trust())
    assert followed.is_success and followed.url.scheme == "https"


def test_silent_clients_do_not_end_its_heartbeats(box: SecureBox) -> None:
    crowd = [socket.create_connection(("127.0.0.1", box.port)) for _ in range(200)]
    try:
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > 8, 30, "some time")
        assert box.store.services.is_alive("serve", now())
        assert httpx.get(f"{box.address}/health", verify=box.trust(), timeout=30).is_success
    finally:
        for one in crowd:
            one.close()


def test_a_site_on_plain_http_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "mb9k.toml").write_text(f'state_dir = "{tmp_path}"\n')
    said = CliRunner().invoke(cli, ["--config", str(tmp_path / "mb9k.toml"), "fingerprint"])
    assert said.exit_code == 1 and "https = true" in str(said.exception)


def test_files_that_are_renewed_are_served_without_a_restart(tmp_path: Path, free_port: Callable[[], int]) -> None:
    chain, key_path, signer = tmp_path / "fullchain.pem", tmp_path / "privkey.pem", Signer()

    def renew() -> str:
        """What certbot does: both files are put in the place of the former ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = signer.sign(key)
        for path, content in ((chain, text), (key_path, pem(key))):
            fresh = path.with_suffix(".new")
            fresh.write_text(content)
            fresh.replace(path)
        return certificates.whole_fingerprint(text)

    first = renew()
    box = SecureBox(tmp_path, free_port, f'tls_certificate = "{chain}"\ntls_key = "{key_path}"\n')
    try:
        box.start()
        assert box.shown() == first
        trust = ssl.create_default_context(cadata=signer.certificate)
        trust.check_hostname = False  # it is for masks.example
        with httpx.Client(base_url=box.address, verify=trust) as kept_open:
            assert kept_open.get("/health").is_success
            second = renew()
            until(lambda: box.shown() == second, 60, "the new one is served")
            assert kept_open.get("/health").is_success, "who is connected goes on"
        process = box.process
        assert process and process.poll() is None
    finally:
        box.stop()


def spki_sha256(box: SecureBox) -> str:
    """What Chromium is told to trust: the hash of the public key."""
    text = box.config.served_certificate_path.read_text().partition("-----END PRIVATE KEY-----\n")[2]
    return base64.b64encode(certificates.pem_fingerprint(text)).decode()


@pytest.fixture
def chromium(box: SecureBox) -> Iterator[Any]:
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    trusting = f"--ignore-certificate-errors-spki-list={spki_sha256(box)}"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=[*CHROMIUM_ARGUMENTS, trusting])
        yield browser
        browser.close()


@pytest.mark.browser
def test_an_admin_gives_a_certificate_and_takes_it_back_in_a_browser(box: SecureBox, chromium: Any) -> None:
    person = at_a_browser(chromium)
    person.sign_in(box.address)
    page = person.page
    assert {cookie["name"]: cookie["secure"] for cookie in page.context.cookies()}["__Host-mb9k_session"]
    own = box.shown()
    page.click("nav >> text=Settings")
    assert own.replace(":", " ") in page.inner_text("main")

    page.click("summary")
    page.fill("[name=chain]", "rubbish")
    page.fill("[name=key]", "rubbish")
    page.click("text=Use it")
    assert "cannot be read" in page.inner_text("p.problem") and box.shown() == own

    key = ec.generate_private_key(ec.SECP256R1())
    chain = Signer().sign(key)
    page.set_input_files("[name=chain_file]", [{"name": "c.pem", "mimeType": "x", "buffer": chain.encode()}])
    page.set_input_files("[name=key_file]", [{"name": "k.pem", "mimeType": "x", "buffer": pem(key).encode()}])
    page.click("text=Use it")
    page.wait_for_selector("p.done")
    assert box.shown() == certificates.whole_fingerprint(chain)
    assert "PRIVATE KEY-----" not in page.content() and "given on this page" in page.inner_text("main")
    page.click("text=Go back to the box's own")
    page.wait_for_selector("text=its own certificate again")
    assert box.shown() == own
    assert not [said for said in person.complaints if "400" not in said]


@pytest.mark.browser
def test_a_browser_that_does_not_trust_it_is_warned(box: SecureBox) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page()
        with pytest.raises(sync_api.Error, match="ERR_CERT_AUTHORITY_INVALID"):
            page.goto(box.address)
        browser.close()


@pytest.mark.browser
def test_a_service_restarted_from_the_page_is_asked_to_end_and_the_page_answers(box: SecureBox, chromium: Any) -> None:
    person = at_a_browser(chromium)
    person.sign_in(box.address)
    person.page.goto(f"{box.address}/settings")
    person.page.click("[aria-label='Restart serve']")
    assert "back in a few seconds" in person.page.inner_text("p.done")
    assert box.process
    assert box.process.wait(30) == 0, "whatever runs the box starts it again"
    box.start()
    person.page.goto(f"{box.address}/settings")
    assert re.search("Services", person.page.inner_text("main")) and PASSWORD not in person.page.content()


def test_a_whole_box_runs_on_https_and_prints_its_fingerprint(tmp_path: Path, free_port: Callable[[], int]) -> None:
    web = {"host": "127.0.0.1", "port": free_port(), "https": True, "http_port": free_port()}
    box = Box(
        tmp_path, "auto", free_port, web=web, rtmp={"host": "127.0.0.1", "port": free_port(), "tls_port": free_port()}
    )
    with box.running():
        until(lambda: box.store.services.is_alive("serve", now()), START_S, "the site is alive")
        shown = certificates.whole_fingerprint(ssl.get_server_certificate(("127.0.0.1", box.config.web.port)))
        assert shown in box.log()
    claimed = CliRunner().invoke(cli, ["--config", str(box.path), "claim"])
    assert claimed.exit_code == 1 and "claimed already" in str(claimed.exception)


def test_the_claim_code_stands_beside_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "mb9k.toml"
    path.write_text(f'state_dir = "{tmp_path}"\n[web]\nhttps = true\n')
    claim = CliRunner().invoke(cli, ["--config", str(path), "claim"])
    said = CliRunner().invoke(cli, ["--config", str(path), "fingerprint"]).output.strip()
    assert re.match("[A-Z0-9]{4}-[A-Z0-9]{4}\n", claim.stdout) and said in claim.stderr


def test_a_busy_port_for_plain_http_is_named(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    config = Config(state_dir=str(tmp_path), web=Web(host="127.0.0.1", port=free_port(), https=True, http_port=port))
    with socket.create_server(("127.0.0.1", port)), pytest.raises(UserError, match=r"web\.http_port"):
        refuse_busy_ports(config)
