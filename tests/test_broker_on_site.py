"""A broker on site that an admin sets on the page: the real service tells a real mosquitto, and says why not."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.errors import NotAllowed
from appliance.rules import on_site
from appliance.sections import Mqtt
from appliance.times import now
from tests.boxes import until
from tests.brokers import Broker, running_broker
from tests.site import Box
from tests.sync_room import SyncedBox
from tests.test_on_site import Subscriber

FORM = {"topic": "mb9k", "discovery": "homeassistant"}


def problem(synced: SyncedBox) -> str:
    """What is wrong with `sync`, as every page says it."""
    return "".join(each.problem or "" for each in synced.store.services.all(now()) if each.name == "sync")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def broker(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Broker]:
    with running_broker(tmp_path / "broker", free_port()) as started:
        yield started


def test_a_broker_that_is_set_while_the_box_runs_is_told_within_seconds(
    tmp_path: Path, free_port: Callable[[], int], broker: Broker
) -> None:
    synced = SyncedBox(tmp_path / "box", free_port)
    subscriber = Subscriber(broker.port)
    availability = f"mb9k/{synced.config.box}/availability"
    announcement = f"homeassistant/device/mb9k_{synced.config.box}/config"
    try:
        with synced.syncing():
            until(lambda: synced.store.services.is_alive("sync", now()), 30, "sync runs")
            on_site.set_broker(synced.config, "127.0.0.1", broker.port, "", "", False, **FORM)
            until(lambda: subscriber.heard.get(availability) == "online", 30, "it is told")
            until(lambda: "broker on site" not in problem(synced), 30, "the page says that it is told")
            on_site.set_broker(synced.config, "127.0.0.1", broker.port, "", "", False, "masks/hall", "homeassistant")
            moved = f"masks/hall/{synced.config.box}/today"
            until(lambda: bool(subscriber.heard.get(moved)), 30, "the figures have another topic")
            kept = {topic for topic, payload in subscriber.heard.items() if payload}
            assert not any(topic.startswith("mb9k/") for topic in kept), "nothing is left under the old one"
            until(lambda: "masks/hall/" in subscriber.heard.get(announcement, ""), 30, "and are announced there")
            on_site.forget_broker(synced.config)
            until(lambda: not any(subscriber.heard.values()), 30, "nothing is left of a box that tells it no more")
    finally:
        subscriber.stop()


def test_a_wrong_password_is_said_and_a_right_one_is_taken(tmp_path: Path, free_port: Callable[[], int]) -> None:
    synced, port = SyncedBox(tmp_path / "box", free_port), free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "ann", "right"], check=True)
    refusing = f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {tmp_path / 'users'}\n"
    with running_broker(tmp_path / "broker", port, refusing), synced.syncing():
        on_site.set_broker(synced.config, "127.0.0.1", port, "ann", "wrong", False, **FORM)
        until(lambda: "see its user and password" in problem(synced), 30, "it is said")
        on_site.set_broker(synced.config, "127.0.0.1", port, "ann", "right", False, **FORM)
        until(lambda: "broker on site" not in problem(synced), 30, "it is taken")


def test_an_admin_sets_a_broker_and_its_password_is_never_shown(box: Box) -> None:
    browser = box.browser("ann")
    assert "Set a broker" in browser.get("/fleet").text
    answer = browser.post(
        "/fleet/broker", page="/fleet/broker", host="broker.example", port="8883", tls="yes", user="ann",
        password="pass word ", **FORM,
    )  # fmt: skip
    assert answer.status_code == 303
    settings = on_site.in_force(box.config)
    assert (settings.host, settings.port, settings.tls, settings.user) == ("broker.example", 8883, True, "ann")
    assert Path(settings.password_file).read_text() == "pass word \n"
    assert stat.S_IMODE(Path(settings.password_file).stat().st_mode) == 0o600
    for path in ("/fleet", "/fleet/broker"):
        page = browser.get(path).text
        assert "broker.example" in page and "pass word" not in page
    assert "is not running" in browser.get("/fleet").text  # nobody tells it


def test_a_password_stays_for_its_user_only(box: Box) -> None:
    def set_broker(user: str, password: str = "") -> Mqtt:
        on_site.set_broker(box.config, "broker", 1883, user, password, False, **FORM)
        return on_site.in_force(box.config)

    first = set_broker("ann", "secret")
    version = on_site.version(first)
    assert on_site.version(set_broker("ann")) == version
    assert on_site.version(set_broker("ann", "another")) != version
    assert set_broker("bob").password_file == ""
    assert not (box.config.state / on_site.PASSWORD).exists()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"host": "mqtt://broker"}, "without mqtt://"),
        ({"host": ""}, "without mqtt://"),
        ({"host": "broker..lan"}, "without mqtt://"),
        ({"host": "b" * 64}, "without mqtt://"),
        ({"port": "70000"}, "from 1 to 65535"),
        ({"port": "many"}, "from 1 to 65535"),
        ({"password": "secret"}, "no user"),
        ({"user": "ann", "password": "two\nlines"}, "one line"),
        ({"topic": "a/#"}, "Topics begin"),
        ({"discovery": "a/b"}, "one word"),
    ],
)
def test_a_mistake_is_one_sentence_and_what_was_typed_stays(box: Box, wrong: dict[str, str], says: str) -> None:
    typed = {"host": "broker", "port": "1884", "user": "", "password": "", **FORM, **wrong}
    page = box.browser("ann").post("/fleet/broker", page="/fleet/broker", **typed)
    assert says in page.text
    assert f'value="{typed["port"]}"' in page.text
    assert on_site.in_force(box.config) == Mqtt()


def test_a_broker_that_the_file_names_is_changed_there(tmp_path: Path) -> None:
    made = Box(tmp_path / "state", mqtt={"host": "broker.example"})
    try:
        browser = made.browser("ann")
        assert "is changed there" in browser.get("/fleet").text
        assert "stands in" in browser.post("/fleet/broker", page="/fleet", host="other", port="1883", **FORM).text
        with pytest.raises(NotAllowed):
            on_site.forget_broker(made.config)
    finally:
        made.close()


def test_only_an_admin_may(box: Box) -> None:
    scientist = box.browser("sci")
    assert scientist.get("/fleet/broker").status_code == 403
    for path in ("/fleet/broker", "/fleet/broker/remove"):
        assert scientist.post(path).status_code == 403


def test_settings_that_cannot_be_read_are_said_and_can_be_set_again(box: Box) -> None:
    browser = box.browser("ann")
    for way_out in ("set", "remove"):
        (box.config.state / on_site.SETTINGS).write_text("{")
        assert "set the broker on site on the page" in browser.get("/fleet").text
        form = browser.get("/fleet/broker")
        assert "cannot be read" in form.text and "Tell no broker" in form.text
        if way_out == "set":
            typed = {"host": "broker", "port": "1883", "user": "", "password": "", **FORM}
            assert browser.post("/fleet/broker", page="/fleet/broker", **typed).status_code == 303
            assert on_site.in_force(box.config).host == "broker"
        else:
            browser.post("/fleet/broker/remove", page="/fleet/broker")
            assert on_site.in_force(box.config) == Mqtt()


def test_a_form_that_would_change_nothing_is_not_shown(tmp_path: Path) -> None:
    made = Box(tmp_path / "state", mqtt={"host": "broker.example"})
    try:
        assert made.browser("ann").get("/fleet/broker").headers["location"] == "/fleet"
    finally:
        made.close()


def test_the_page_says_of_the_broker_only_what_is_of_the_broker(box: Box) -> None:
    browser, at = box.browser("ann"), box.clock.now
    on_site.set_broker(box.config, "broker", 1883, "", "", False, **FORM)
    of_centre = "This box has not reached its centre."
    for of_broker, shown in ((None, False), (f"{on_site.SENTENCE} broker:1883 takes no connections.", True)):
        said = " ".join(filter(None, (of_centre, of_broker)))
        box.store.services.heartbeat("sync", 1, at.utc, said, at)
        card = browser.get("/fleet").text.partition("<h2>Broker on site</h2>")[2]
        assert of_centre not in card
        assert ("takes no connections" in card, "Not told" in card) == (shown, shown)


def test_a_password_that_is_gone_is_said_on_the_page(tmp_path: Path, free_port: Callable[[], int]) -> None:
    synced = SyncedBox(tmp_path / "box", free_port)
    on_site.set_broker(synced.config, "127.0.0.1", free_port(), "ann", "secret", False, **FORM)
    (synced.config.state / on_site.PASSWORD).unlink()
    with synced.syncing():
        until(lambda: f"{on_site.SENTENCE} cannot be told" in problem(synced), 30, "it is said")
