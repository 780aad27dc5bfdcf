"""A broker on site: what Home Assistant and people read there, over a real mosquitto."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from appliance.accounts.people import Role
from appliance.config import ConfigError, load
from appliance.errors import UserError
from appliance.faces import Counts, Detection, State
from appliance.sections import Mqtt
from appliance.store import Store
from appliance.sync import discovery
from appliance.sync.figures import Figures, OfStream, figures_of
from appliance.sync.on_site import Announced, OnSite, figures
from appliance.times import now
from tests.boxes import until
from tests.brokers import Broker, running_broker

ACCEPTED = Path(__file__).parent / "home_assistant_2026.2.3.json"
SINCE = "2026-11-27T00:00:00+00:00"
BOX = Announced("hallway", "0.1.0")


class Subscriber:
    """Somebody who listens to everything, as `mosquitto_sub -t '#'` does."""

    def __init__(self, port: int) -> None:
        self.heard: dict[str, str] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_message = lambda _c, _d, message: self.heard.update({message.topic: message.payload.decode()})
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def json(self, topic: str) -> Any:
        return json.loads(self.heard.get(topic) or "{}")

    def keep(self, topic: str, payload: str) -> None:
        self._client.publish(topic, payload, 1, retain=True).wait_for_publish(5)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Broker]:
    with running_broker(tmp_path, free_port()) as started:
        yield started


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    listening = Subscriber(broker.port)
    yield listening
    listening.stop()


class Running:
    """The connection, stepped by a thread as the service does it."""

    def __init__(self, settings: Mqtt, read: Callable[[], dict[int, Figures]]) -> None:
        self.on_site, self._stopping = OnSite(settings, BOX), threading.Event()
        self.read = read
        self.on_site.start()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            self.on_site.step(self.read, now().uptime_s)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self.on_site.stop()


def some(mask: int, stream: str | None = None) -> Figures:
    return figures_of(Counts(mask=mask, no_mask=1), SINCE, OfStream(stream, True, None) if stream else None)


def test_home_assistant_2026_2_3_accepted_this() -> None:
    streams, gone = {1: "door", 2: ""}, {"stream_7_live", "stream_7_people"}
    about = ("hallway", "0.1.0", "Raspberry Pi 5", "http://hallway.local:8000")
    assert discovery.device("mb9k", *about, streams, gone) == json.loads(ACCEPTED.read_text())


def test_the_figures_of_today_are_those_of_the_record() -> None:
    store, moment = Store.in_memory(), now()
    owner = store.people.add("dev", "-", Role.ADMIN, moment.utc)
    stream_id = store.streams.add_with_key(owner, "door", "0" * 64, moment.utc)
    for state in (State.MASK, State.MASK, State.NO_MASK, State.UNKNOWN):
        store.detections.add(stream_id, Detection(moment.utc, moment.utc, state, 0.9, 7, (1, 2, 30, 40), 640, 360, "m"))
    found = figures(store, moment)
    assert (found[0].people, found[0].mask, found[0].compliance) == (4, 2, 66.7)
    number = next(number for number, of in store.summaries.stream_ids().items() if of == stream_id)
    assert (found[number].name, found[number].live, found[number].unknown) == ("door", "OFF", 1)


def test_nobody_judged_is_no_rate() -> None:
    assert figures_of(Counts(unknown=3), SINCE).compliance is None


def test_a_subscriber_reads_the_figures_and_what_changes(broker: Broker, subscriber: Subscriber) -> None:
    running = Running(Mqtt(host="127.0.0.1", port=broker.port), lambda: {0: some(3), 4: some(2, "door")})
    try:
        until(lambda: subscriber.json("mb9k/hallway/streams/4").get("name") == "door", 30, "the stream is told")
        until(lambda: subscriber.heard.get("mb9k/hallway/availability") == "online", 30, "then that the box is there")
        assert subscriber.json("mb9k/hallway/today")["mask"] == 3
        assert "stream_4_live" in subscriber.json("homeassistant/device/mb9k_hallway/config")["cmps"]
        running.read = lambda: {0: some(4)}
        until(lambda: subscriber.json("mb9k/hallway/today").get("mask") == 4, 30, "a change is told")
        until(lambda: subscriber.heard.get("mb9k/hallway/streams/4") == "", 30, "a stream that is gone is taken away")
        gone = subscriber.json("homeassistant/device/mb9k_hallway/config")["cmps"]["stream_4_live"]
        assert gone == {"p": "binary_sensor"}
    finally:
        running.stop()
    until(lambda: subscriber.heard.get("mb9k/hallway/availability") == "offline", 30, "a stop is told")


def test_what_was_announced_before_a_restart_is_taken_away(broker: Broker, subscriber: Subscriber) -> None:
    subscriber.keep("mb9k/hallway/streams/9", "{}")
    old = discovery.device("mb9k", "hallway", "0.0.9", "", "", {9: "attic"})
    subscriber.keep("homeassistant/device/mb9k_hallway/config", json.dumps(old))
    running = Running(Mqtt(host="127.0.0.1", port=broker.port), lambda: {0: some(1)})
    try:
        until(lambda: subscriber.heard.get("mb9k/hallway/streams/9") == "", 30, "the old stream is taken away")
        where = "homeassistant/device/mb9k_hallway/config"
        forgotten = {"p": "binary_sensor"}
        until(lambda: subscriber.json(where)["cmps"].get("stream_9_live") == forgotten, 30, "it is to be forgotten")
    finally:
        running.stop()


def test_a_broker_that_was_away_is_told_everything_again(broker: Broker) -> None:
    running = Running(Mqtt(host="127.0.0.1", port=broker.port), lambda: {0: some(5)})
    try:
        until(lambda: running.on_site.problem is None, 30, "it is connected")
        broker.kill()
        until(lambda: running.on_site.problem is not None, 30, "the loss is seen")
        broker.start()
        subscriber = Subscriber(broker.port)
        until(lambda: subscriber.json("mb9k/hallway/today").get("mask") == 5, 30, "all is told again")
        subscriber.stop()
    finally:
        running.stop()


def test_a_box_that_died_is_offline(broker: Broker, subscriber: Subscriber) -> None:
    running = Running(Mqtt(host="127.0.0.1", port=broker.port), lambda: {0: some(1)})
    until(lambda: subscriber.heard.get("mb9k/hallway/availability") == "online", 30, "it is there")
    running._stopping.set()
    running._thread.join()
    sock = running.on_site._client.socket()
    assert sock is not None
    running.on_site._client.loop_stop()
    sock.close()  # as the kernel does when a process is killed
    until(lambda: subscriber.heard.get("mb9k/hallway/availability") == "offline", 30, "the will is told")


def test_a_wrong_password_is_said(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    (tmp_path / "users").write_text("")
    (tmp_path / "password").write_text("wrong\n")
    refusing = f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {tmp_path / 'users'}\n"
    with running_broker(tmp_path, port, refusing):
        running = Running(
            Mqtt(host="127.0.0.1", port=port, user="box", password_file=str(tmp_path / "password")),
            lambda: {0: some(1)},
        )
        try:
            until(lambda: "see its user and password" in (running.on_site.problem or ""), 30, "it is said")
        finally:
            running.stop()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (Mqtt(host="h", user="u", password_file="/nowhere/at/all"), "password_file"),
        (Mqtt(host="h", tls=True, tls_authority="/nowhere/at/all"), "tls_authority"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(settings: Mqtt, says: str) -> None:
    with pytest.raises(UserError, match=says):
        OnSite(settings, BOX)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('host = "mqtt://broker"', "without mqtt://"),
        ('host = "broker"\npassword_file = "x"', "no user"),
        ('topic = "a/#"', "topic"),
        ('discovery = "a/b"', "discovery"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "mb9k.toml"
    path.write_text(f"[mqtt]\n{line}\n")
    with pytest.raises(ConfigError, match=says):
        load(path)
