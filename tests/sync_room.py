"""A box's `sync`, a real mosquitto with the configuration that a centre writes, and a stand-in for the ingest."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance import certificates, membership, messages
from appliance.central import authority, broker
from appliance.central.config import CentralConfig
from appliance.membership import Membership
from appliance.messages import SHAPES, Certificate, Hello, Kind, Message, Renewal, Sums, Watermarks
from appliance.sync.service import Sync
from tests.boxes import START_S, Box, end, until
from tests.brokers import Broker
from tests.conftest import REPOSITORY
from tests.model_centre import ModelCentre

NAME = "door-box"
PATIENCE_S = 60.0


class CentreRoom:
    """The keys of a centre, its broker, and a stand-in for its ingest."""

    def __init__(self, folder: Path, free_port: Callable[[], int], postgresql: str = "") -> None:
        self.folder = folder
        wiring = {
            "state_dir": str(folder / "centre"),
            "broker": {"host": "127.0.0.1", "port": free_port()},
            "database": {"url": postgresql},
        }
        self.config = msgspec.convert(wiring, CentralConfig)
        self.trust = authority.prepare(self.config, time.time())
        self.write_broker()
        lines = broker.configuration(self.config, self.trust).splitlines(keepends=True)
        configuration = "".join(line for line in lines if not line.startswith("user "))  # the helper says who
        self.broker = Broker(folder / "mosquitto", self.config.broker.port, configuration)
        self.ingest = StandInIngest(self)

    def write_broker(self, revoked: tuple[tuple[str, float], ...] = ()) -> None:
        """The broker's files of access and of revoked certificates."""
        folder = self.config.broker_dir
        folder.mkdir(parents=True, exist_ok=True)
        (folder / broker.ACCESS).write_text(broker.access_list())
        (folder / broker.REVOKED).write_text(self.trust.authority.revocation_list(revoked, time.time()))

    def join(
        self, state: Path, days: float = 365, name: str = NAME, now_s: float | None = None, port: int = 0
    ) -> Membership:
        """Have a box with this state folder belong to this centre. port: where it connects, if not at the broker's."""
        key = certificates.new_key()
        request = certificates.signing_request(key, name)
        signed = self.trust.authority.sign_box(request, name, time.time() if now_s is None else now_s, days)
        port = port or self.config.broker.port
        there = Membership(name, "127.0.0.1", port, time.time(), state / membership.FOLDER, "plant")
        membership.save(there, key, signed.pem, self.trust.authority.certificate)
        return there

    @contextmanager
    def running(self) -> Iterator[CentreRoom]:
        """The broker and the ingest until the end of the block."""
        self.broker.start()
        self.ingest.start()
        try:
            yield self
        finally:
            self.ingest.stop()
            self.broker.kill()


class StandInIngest:
    """Stands in for the centre's ingest: the model of a centre behind a real connection, as the centre, to the broker.

    is_deaf: what comes is not taken. is_mute: it is, but the answers get lost. signs: renewals are answered.
    """

    def __init__(self, room: CentreRoom) -> None:
        self.model = ModelCentre()
        self.is_deaf = self.is_mute = self.signs = False
        self.came: list[tuple[Kind, Message]] = []
        self.box = NAME
        self._room = room
        self.client: mqtt.Client | None = None
        self._is_ready = threading.Event()

    def start(self) -> None:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=authority.CENTRE, protocol=mqtt.MQTTv5)
        client.tls_set_context(self._room.trust.broker_tls(self._room.config))
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._is_ready.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", self._room.config.broker.port)
        client.loop_start()
        self.client = client
        assert self._is_ready.wait(PATIENCE_S)

    def stop(self) -> None:
        if self.client:
            self.client.disconnect()
            self.client.loop_stop()
        self.client = None

    def say(self, kind: Kind, message: Message) -> None:
        assert self.client
        retain = kind in messages.RETAINED
        self.client.publish(messages.topic(self.box, kind), messages.encode(message), qos=1, retain=retain)

    def of(self, kind: Kind) -> list[Any]:
        """What came of this kind."""
        return [message for each, message in list(self.came) if each is kind]

    def statuses(self) -> list[str]:
        return [state.status for state in self.of(Kind.STATE)]

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(f"{messages.ROOT}/+/{kind.value}", 1) for kind in messages.FROM_BOX])

    def _on_message(self, _of: mqtt.Client, _data: Any, packet: mqtt.MQTTMessage) -> None:
        _, kind = messages.parse_topic(packet.topic)
        message = messages.decode(bytes(packet.payload), SHAPES[kind])
        if self.is_deaf:
            return
        self.came.append((kind, message))
        upto: dict[str, int] = {}
        if isinstance(message, Sums):
            upto = self.model.take(message)
        elif isinstance(message, Hello):
            upto = self.model.greet(message)
        elif isinstance(message, Renewal) and self.signs:
            authority = self._room.trust.authority
            signed = authority.sign_box(message.request, self.box, time.time())
            self.say(Kind.CERTIFICATE, Certificate(certificate=signed.pem, authority=authority.certificate))
        if upto and not self.is_mute:
            self.say(Kind.WATERMARKS, Watermarks(upto=upto))


class SyncedBox(Box):
    """A box of which `mb9k sync` runs, and the test itself records."""

    def __init__(self, folder: Path, free_port: Callable[[], int], **sections: Any) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, "embedded", free_port, **sections)
        self.process: subprocess.Popen[bytes] | None = None

    def start_sync(self) -> None:
        words = [sys.executable, "-m", "appliance.cli", "--config", str(self.path), "--log-level", "debug", "sync"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, cwd=REPOSITORY, env={**os.environ})

    def kill_sync(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def end_sync(self) -> int:
        assert self.process
        end(self.process, 10)
        return self.process.returncode

    @contextmanager
    def syncing_here(self) -> Iterator[None]:
        """The same in a thread of the test, which may then change its patience."""
        stopping, faults = threading.Event(), list[BaseException]()

        def run() -> None:
            try:
                Sync(self.config).run(stopping)
            except BaseException as error:
                faults.append(error)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(PATIENCE_S)
        assert not faults
        assert not thread.is_alive()

    @contextmanager
    def syncing(self) -> Iterator[None]:
        """`mb9k sync` until the end of the block."""
        self.start_sync()
        try:
            yield
        finally:
            assert self.process
            self.process.kill()
            self.process.wait()
            print(self.log())

    def problem(self) -> str:
        """What its page would say of the centre."""
        status = self.store.fleet.status()
        return (status and status.problem) or ""

    def is_connected(self) -> bool:
        status = self.store.fleet.status()
        return status is not None and status.connected

    def until_it_says(self, words: str) -> None:
        until(lambda: words in self.problem(), START_S, f"it says {words!r}")
