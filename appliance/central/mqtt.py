"""Ingest's connection to the broker. MQTT 5: a publish that the broker refuses is only there said to be refused.

Messages are acknowledged by hand, after the commit of what they say. Several processes share them: the broker gives
each message to one of those that subscribe under the same share name.
"""

from __future__ import annotations

import logging
import queue
import secrets
import ssl
import time
from collections.abc import Iterable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from appliance.central.intake import Incoming
from appliance.language import N_
from appliance.messages import FROM_BOX, MAX_BYTES, RETAINED, Kind, Message, encode, topic
from appliance.outside import reason_words

log = logging.getLogger(__name__)
SHARE = "$share/mb9k-ingest/"
IN_FLIGHT = 1000
"""Messages that the broker may give us before we acknowledge one; it may give fewer (its max_inflight_messages)."""
KEEPALIVE_S = 30
OUT_QUEUE = 20_000
"""Answers that wait while the broker is slow; those beyond are left out, and the box sends again."""


class Connection:
    """A connection that is made again whenever it ends. What comes is had by `take`, from one other thread."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None, name: str = "ingest") -> None:
        self._where = f"{host}:{port}"
        self._inbox: queue.SimpleQueue[Incoming] = queue.SimpleQueue()
        self._number = 0  # of the connection: message ids begin again with each
        self.trouble = N_("the broker at {where} has not answered yet").format(where=self._where)
        """Why there is no connection, in words; empty: there is one."""
        self._client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"mb9k-centre.{name}.{secrets.token_hex(4)}",
            protocol=mqtt.MQTTv5,
            manual_ack=True,
        )
        if tls is not None:
            client.tls_set_context(tls)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.max_queued_messages_set(OUT_QUEUE)
        client.reconnect_delay_set(1, 10)
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._ended
        client.on_message = self._came
        client.on_subscribe = self._subscribed
        settings = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        settings.ReceiveMaximum = IN_FLIGHT
        client.connect_async(host, port, KEEPALIVE_S, clean_start=True, properties=settings)

    def start(self) -> None:
        """Connect, and go on trying, in a thread of its own."""
        self._client.loop_start()

    def stop(self) -> None:
        """End the connection."""
        self._client.disconnect()
        self._client.loop_stop()

    def take(self, most: int, most_bytes: int, patience_s: float, gather_s: float) -> list[Incoming]:
        """What came: waits patience_s for the first message, from then gather_s for more. Empty: none came."""
        try:
            taken = [self._inbox.get(timeout=patience_s)]
        except queue.Empty:
            return []
        until_s = time.monotonic() + gather_s
        size = len(taken[0].payload)
        while len(taken) < most and size < most_bytes:
            try:
                taken.append(self._inbox.get(timeout=max(0.0, until_s - time.monotonic())))
            except queue.Empty:
                break
            size += len(taken[-1].payload)
        return taken

    def acknowledge(self, messages: Iterable[Incoming]) -> None:
        """Tell the broker that these need not be sent again; those of an earlier connection it has forgotten."""
        for message in messages:
            number, message_id, quality = message.delivery
            if number == self._number and quality:
                self._client.ack(message_id, quality)

    def publish(self, box: str, kind: Kind, message: Message, retain: bool | None = None, expiry_s: int = 0) -> bool:
        """Tell a box something; whether it was put on its way. retain: None: as is usual for this kind."""
        properties = None
        if expiry_s:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = expiry_s
        keep = kind in RETAINED if retain is None else retain
        sent = self._client.publish(topic(box, kind), encode(message), 1, keep, properties)
        return sent.rc == mqtt.MQTT_ERR_SUCCESS

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._say(N_("the broker at {where} refuses us: {reason}").format(where=self._where, reason=_words(reason)))
            return
        self._number += 1
        client.subscribe([(f"{SHARE}{topic('+', kind)}", SubscribeOptions(qos=1)) for kind in FROM_BOX])

    def _subscribed(self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _: Any) -> None:
        refused = [_words(reason) for reason in reasons if reason.is_failure]
        if refused:
            words = N_("the broker at {where} does not let us read what boxes send: {reason}")
            self._say(words.format(where=self._where, reason=refused[0]))
        else:
            if self.trouble:
                log.info("connected to the broker at %s", self._where)
            self.trouble = ""

    def _failed(self, _client: mqtt.Client, _data: Any) -> None:
        self._say(N_("the broker at {where} cannot be reached").format(where=self._where))

    def _ended(self, _client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            words = N_("the connection to the broker at {where} ended: {reason}")
            self._say(words.format(where=self._where, reason=_words(reason)))

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.error("%s; trying again", trouble)
        self.trouble = trouble

    def _came(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            where = message.topic
        except UnicodeDecodeError:
            where = ""
        delivery = self._number, message.mid, message.qos
        self._inbox.put(Incoming(where, bytes(message.payload[: MAX_BYTES + 1]), delivery))


def _words(reason: ReasonCode) -> str:
    return reason_words(reason.value, str(reason))
