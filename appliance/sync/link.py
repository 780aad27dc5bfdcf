"""One connection to the centre, from the first try to its end.

paho works in a thread of its own; what it hears is handed over in a bounded queue. Nothing is published again by it:
each try is a new client, and what was not confirmed is told again by the outbox.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, LogLevel
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from appliance import messages
from appliance.membership import Membership
from appliance.messages import RETAINED, TO_BOX, Kind, Malformed, Message, State
from appliance.sync import reasons

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 30.0
"""Of TCP and of TLS each: a broker to which ten thousand boxes come back at once takes its time."""
WILL_DELAY_S = 90
"""A box that comes back so soon was never gone. MQTT 5 ends the delay with the session, so that lives as long."""
MAX_ARRIVED = 200
MAX_UNCONFIRMED = 50
NO_SUBSCRIBER = 0x10
_FIRST_FAILURE = 0x80


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message from the centre, not yet read. retained: the broker kept it from earlier."""

    kind: Kind
    payload: bytes
    retained: bool


class ClosingSocket(ssl.SSLSocket):
    """Closed where TLS fails, which paho leaves to chance."""

    def do_handshake(self, block: bool = False) -> None:
        """Agree on keys. Raises OSError."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Link:
    """A connection for the membership. `wake` is set whenever something happens.

    is_up: subscribed; from then on messages may be published. ended: why it is over, in words; None: it is not.
    refused: why the broker does not take a kind of message, in words. is_heard: somebody takes what is published.
    """

    def __init__(self, there: Membership, client_id: str, will: State, wake: threading.Event) -> None:
        """will: what the broker tells everybody when this box is gone. Raises MembershipError."""
        self.is_up = False
        self.ended: str | None = None
        self.refused: str | None = None
        self.is_heard = True
        self._there = there
        self._wake = wake
        self._arrived: queue.Queue[Arrived] = queue.Queue(MAX_ARRIVED)
        self._unconfirmed: dict[int, Kind] = {}
        self._confirmed: deque[tuple[int, int]] = deque(maxlen=2 * MAX_UNCONFIRMED)
        self._said = ""  # the last trouble in paho's log, which alone has it
        self._is_closing = False
        self._client = self._made(client_id, will)

    def _made(self, client_id: str, will: State) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        tls = self._there.tls()
        tls.sslsocket_class = ClosingSocket
        client.tls_set_context(tls)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_queued_messages_set(MAX_UNCONFIRMED)
        delay = _properties(PacketTypes.WILLMESSAGE)
        delay.WillDelayInterval = WILL_DELAY_S
        topic = messages.topic(self._there.box, Kind.STATE)
        client.will_set(topic, messages.encode(will), qos=1, retain=True, properties=delay)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_log = self._on_log
        return client

    def start(self) -> None:
        """Try to connect, in the background: a name may take a minute to resolve."""
        threading.Thread(target=self._connect, name="connecting", daemon=True).start()

    def _connect(self) -> None:
        there, properties = self._there, _properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = WILL_DELAY_S
        try:
            self._client.connect(there.host, there.port, KEEPALIVE_S, clean_start=True, properties=properties)
            self._client.loop_start()
        except (OSError, ValueError) as error:
            log.debug("no connection to %s port %d: %s", there.host, there.port, error)
            self._end(reasons.of_error(error, there.host, there.port, time.time()))

    def publish(self, kind: Kind, message: Message) -> bool:
        """Publish a message, at least once; whether it was taken. What becomes of it is not known: the outbox asks."""
        if not self.is_up or self.ended is not None:
            return False
        topic = messages.topic(self._there.box, kind)
        info = self._client.publish(topic, messages.encode(message), qos=1, retain=kind in RETAINED)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            return False
        self._unconfirmed[info.mid] = kind
        return True

    def arrived(self) -> list[Arrived]:
        """What came since the last call, in order."""
        while self._confirmed:
            self._take_confirmation(*self._confirmed.popleft())
        found: list[Arrived] = []
        while not self._arrived.empty() and len(found) < MAX_ARRIVED:
            found.append(self._arrived.get_nowait())
        return found

    def _take_confirmation(self, mid: int, code: int) -> None:
        kind = self._unconfirmed.pop(mid, None)
        if code >= _FIRST_FAILURE and kind:
            self.refused = reasons.of_refusal(code, kind.value)
        elif kind is Kind.SUMS:
            self.refused = None
        if kind in (Kind.SUMS, Kind.HELLO):
            self.is_heard = code != NO_SUBSCRIBER

    def close(self, last: State | None = None, patience_s: float = 0.0) -> None:
        """End the connection; with a last message if it is up. Waits at most so long for both to be on their way."""
        if last is not None:
            self.publish(Kind.STATE, last)
        self._is_closing = True
        deadline_s = time.monotonic() + (patience_s if self.is_up else 0.0)
        self._client.disconnect()
        while self.ended is None and (wait_s := deadline_s - time.monotonic()) > 0:
            self._wake.clear()
            if self.ended is None:
                self._wake.wait(wait_s)

    def _end(self, why: str) -> None:
        self.is_up = False
        self.ended = self.ended or why
        self._wake.set()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        if code.is_failure:
            self._end(reasons.of_refusal(code.value))
        elif self._is_closing:
            client.disconnect()
        else:
            client.subscribe([(messages.topic(self._there.box, kind), 1) for kind in TO_BOX])

    def _on_subscribe(self, client: mqtt.Client, _d: Any, _mid: int, codes: list[ReasonCode], _properties: Any) -> None:
        refused = next((code.value for code in codes if code.is_failure), None)
        if refused is not None:
            self._end(reasons.of_refusal(refused, "subscription"))
            client.disconnect()
            return
        self.is_up = True
        self._wake.set()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            box, kind = messages.parse_topic(message.topic)
            if box == self._there.box and kind in TO_BOX:
                self._arrived.put_nowait(Arrived(kind, bytes(message.payload), message.retain))
        except (Malformed, UnicodeDecodeError) as error:
            log.warning("a message from the centre is not looked at: %s", error)
        except queue.Full:
            log.warning("the centre sends more than can be looked at; some of it is dropped")
        self._wake.set()

    def _on_publish(self, _client: mqtt.Client, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        # Only noted: paho holds a lock of its own here, and `publish` has not yet said what has this number.
        self._confirmed.append((mid, code.value))
        self._wake.set()

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, flags: Any, code: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server or code.value == reasons.KEEP_ALIVE:
            self._end(reasons.of_refusal(code.value))
        else:
            self._end(reasons.of_text(self._said) or (reasons.LOST if self.is_up else reasons.CLOSED))

    def _on_log(self, _client: mqtt.Client, _data: Any, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._said = text
            log.debug("%s", text)


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]
