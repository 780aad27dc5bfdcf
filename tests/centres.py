"""A whole centre for tests, and boxes that join it: real keys, a real endpoint, a real mosquitto with TLS."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance import certificates, messages
from appliance.central import authority, broker, members
from appliance.central.authority import Trust
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.joining import Endpoint
from appliance.central.opening import open_database
from appliance.central.run import broker_command
from appliance.join_code import Request, parse
from appliance.membership import FOLDER, Membership, save
from tests.boxes import end, is_listening, until
from tests.brokers import mosquitto

PATIENCE_S = 60.0


class Centre:
    """A centre in a folder of its own, on ports of its own. Nothing of it runs yet."""

    def __init__(self, folder: Path, free_port: Callable[[], int], address: str = "", **sections: Any) -> None:
        wiring = {
            "name": "head office",
            "state_dir": str(folder),
            "broker": {"host": "127.0.0.1", "port": free_port(), "public_host": "localhost"},
            "joining": {"host": "127.0.0.1", "port": free_port()},
            "web": {"host": "127.0.0.1", "port": free_port()},
            "database": {"url": address if address.startswith("postgres") else ""},
            **sections,
        }
        self.folder = folder
        self.config = msgspec.convert(wiring, CentralConfig)
        self.path = folder / "central.toml"
        folder.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(msgspec.toml.encode(wiring))
        self.database: Database = open_database(self.config.database_address)
        self.trust: Trust = authority.prepare(self.config, time.time())

    def close(self) -> None:
        """Give the database back."""
        self.database.close()

    def invite(self, title: str = "hallway", **options: Any) -> str:
        """A join code."""
        now_s = options.pop("now_s", time.time())
        return members.invite(self.database, self.config, self.trust, now_s, by="ann", title=title, **options)

    def revoke(self, box: str) -> bool:
        """Shut a box out."""
        return members.revoke(self.database, self.config, self.trust, box, "ann", time.time())

    @contextmanager
    def endpoint(self) -> Iterator[Endpoint]:
        """Boxes may join until the end of the block."""
        endpoint = Endpoint(self.config, self.trust)
        thread = threading.Thread(target=endpoint.serve)
        thread.start()
        try:
            yield endpoint
        finally:
            endpoint.stop()
            thread.join(PATIENCE_S)
            until(lambda: not endpoint.guests, PATIENCE_S, "all connections have ended")

    @contextmanager
    def broker(self) -> Iterator[subprocess.Popen[bytes]]:
        """A mosquitto with the configuration we write, until the end of the block."""
        mosquitto()  # skips the test where there is none
        broker.write(self.config, self.trust, self.database, time.time())
        with (self.folder / "mosquitto.log").open("wb") as log:
            process = subprocess.Popen(broker_command(self.config), stdout=log, stderr=log)
        try:
            until(lambda: is_listening(self.config.broker.port), PATIENCE_S, "mosquitto answers")
            yield process
        finally:
            end(process)
            print((self.folder / "mosquitto.log").read_text())

    def box(self, folder: Path, title: str = "hallway", **options: Any) -> Membership:
        """A box that has joined, without the network in between."""
        key = certificates.new_key()
        request = Request(
            secret=parse(self.invite(title, **options)).secret, request=certificates.signing_request(key, title)
        )
        answer = members.admit(self.database, self.config, self.trust, request, time.time())
        there = Membership(answer.box, answer.host, answer.port, answer.now_utc, folder / FOLDER, answer.centre)
        save(there, key, answer.certificate, answer.authority)
        return there

    def client(self, client_id: str = "ingest") -> Client:
        """Ingest's connection, as the broker knows it."""
        return Client(client_id, self.config, self.trust.broker_tls(self.config))

    def client_of(self, there: Membership, client_id: str = "") -> Client:
        """A box's connection."""
        return Client(client_id or messages.client_id(there.box, "0" * 8), self.config, there.tls())


@dataclass
class Client:
    """An MQTT 5 client, and all that happened to it."""

    client_id: str
    config: CentralConfig
    tls: Any
    connected: str = ""
    disconnected: list[str] = field(default_factory=list)
    published: dict[int, str] = field(default_factory=dict)
    subscribed: list[str] = field(default_factory=list)
    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mqtt = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        if self.tls is not None:
            self.mqtt.tls_set_context(self.tls)
        self.mqtt.on_connect = lambda _c, _d, _f, reason, _p: setattr(self, "connected", str(reason))
        self.mqtt.on_disconnect = lambda _c, _d, _f, reason, _p: self.disconnected.append(str(reason))
        self.mqtt.on_publish = lambda _c, _d, mid, reason, _p: self.published.update({mid: str(reason)})
        self.mqtt.on_subscribe = lambda _c, _d, _m, reasons, _p: self.subscribed.extend(map(str, reasons))
        self.mqtt.on_message = lambda _c, _d, message: self.messages.append((message.topic, bytes(message.payload)))

    def connect(self) -> str:
        """Connect; the broker's answer, or what went wrong."""
        try:
            self.mqtt.connect("localhost", self.config.broker.port)
            self.mqtt.loop_start()
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        until(lambda: bool(self.connected or self.disconnected), PATIENCE_S, "the broker answers")
        return self.connected or self.disconnected[0]

    def publish(self, topic: str, payload: bytes = b"1", retain: bool = False) -> str:
        """Publish; the broker's answer."""
        mid = self.mqtt.publish(topic, payload, qos=1, retain=retain).mid
        until(lambda: mid in self.published or bool(self.disconnected), PATIENCE_S, "the broker answers")
        return self.published.get(mid, "disconnected")

    def subscribe(self, topic: str) -> None:
        """Subscribe, whatever the broker answers."""
        count = len(self.subscribed)
        self.mqtt.subscribe(topic, qos=1)
        until(lambda: len(self.subscribed) > count, PATIENCE_S, "the broker answers")

    def close(self) -> None:
        """End the connection."""
        self.mqtt.disconnect()
        self.mqtt.loop_stop()
