"""Tells a broker on site the day's figures, if there is one: a thread beside the connection to the centre.

Only what changed is published, and everything again at each connection: it is all retained, and nothing waits here.
"""

from __future__ import annotations

import json
import logging
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from appliance.config import Config
from appliance.errors import UserError
from appliance.faces import Counts
from appliance.language import N_
from appliance.outside import system_words
from appliance.rules import on_site as rules
from appliance.sections import Mqtt
from appliance.store import DetectionFilter, Store
from appliance.sync import discovery, machine, reasons
from appliance.sync.figures import OFFLINE, ONLINE, Figures, OfStream, Topic, figures_of, topic
from appliance.sync.link import ClosingSocket
from appliance.times import Now, now
from appliance.version import version

log = logging.getLogger(__name__)

NOT_SET = N_("No broker on site is set: set one on the page Fleet.")
CANNOT = N_("The broker on site cannot be told: {error}.")
NO_PASSWORD = N_("[mqtt] password_file: {path} cannot be read: {error}")
NO_AUTHORITY = N_("[mqtt] tls_authority: {path} is no PEM file that can be read: {error}")
KEEPALIVE_S = 30
STEP_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1, 60
LAST_S = 1.0
"""So long the broker has to take the last of what it is told."""
LEARN_S = 2.0
"""So long the broker has to tell what was announced there before, of which some may be gone."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What a box is, for Home Assistant. page: the address of its page, or empty."""

    box: str
    version: str
    hardware: str = ""
    page: str = ""


def figures(store: Store, now: Now) -> dict[int, Figures]:
    """Today's figures by stream number; 0: of all. Raises sqlite3.Error."""
    midnight = store.trends.midnight_utc(now.utc)
    since = datetime.fromtimestamp(midnight, timezone.utc).isoformat(timespec="seconds")
    today = store.trends.by_stream(None, midnight)
    streams = {stream.id: stream for stream in store.streams.all(now)}
    found = {0: figures_of(store.trends.counts(DetectionFilter(since_utc=midnight)), since)}
    for number, stream_id in store.summaries.stream_ids().items():
        if stream := streams.get(stream_id):
            found[number] = figures_of(
                today.get(stream_id, Counts()), since, OfStream(stream.name, stream.live, stream.problem)
            )
    return found


class OnSite:
    """The connection to one broker. `step` reads the store and publishes what is new; call it every few seconds.

    problem: why the broker cannot be told, a sentence; None: it is.
    """

    def __init__(self, settings: Mqtt, about: Announced) -> None:
        """Raises UserError: a file cannot be read."""
        self._settings, self._about = settings, about
        self.problem: str | None = reasons.SITE_NOT_YET_TOLD.format(where=self.where)
        self._told: dict[str, bytes] = {}
        self._announced: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._up_since_s: float | None = None
        self._is_refused = False
        self._client = self._made()

    @property
    def where(self) -> str:
        """The broker, for people."""
        return f"{self._settings.host}:{self._settings.port}"

    def _made(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"mb9k-{self._about.box}", protocol=mqtt.MQTTv311, clean_session=True
        )
        if self._settings.user:
            client.username_pw_set(self._settings.user, _password(self._settings.password_file))
        if self._settings.tls:
            client.tls_set_context(_tls(self._settings.tls_authority))
        client.will_set(self._topic(Topic.AVAILABILITY), OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_message = self._on_connect_fail, self._on_message
        return client

    def start(self) -> None:
        """Connect, and again whenever the connection is lost, in a thread of paho's."""
        self._client.connect_async(self._settings.host, self._settings.port, KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Say that the box is off, and end the connection."""
        self._end({self._topic(Topic.AVAILABILITY): OFFLINE})

    def leave(self, settings: Mqtt) -> None:
        """The same, before others are told: take away what this broker keeps of the box and those will not replace."""
        with self._lock:
            told = {where for where, payload in self._told.items() if payload} | {self._topic(Topic.AVAILABILITY)}
        gone = {where: "" for where in told if not self._stays(where, settings)}
        self._end({self._topic(Topic.AVAILABILITY): OFFLINE} | gone)

    def _stays(self, where: str, settings: Mqtt) -> bool:
        """Whether these settings tell this topic, too."""
        before = self._settings
        if (settings.host, settings.port) != (before.host, before.port):
            return False
        if where == discovery.config_topic(before.discovery, self._about.box):
            return settings.discovery == before.discovery
        return settings.topic == before.topic

    def _end(self, last: Mapping[str, str]) -> None:
        if self._up_since_s is not None:
            sent = [self._client.publish(where, payload, qos=1, retain=True) for where, payload in last.items()]
            until_s = time.monotonic() + LAST_S
            with suppress(RuntimeError):  # the connection was lost meanwhile
                for each in sent:
                    each.wait_for_publish(max(0.0, until_s - time.monotonic()))
        self._client.disconnect()
        self._client.loop_stop()

    def step(self, read: Callable[[], dict[int, Figures]], uptime_s: float) -> None:
        """Publish what changed since the last step. read: gives the figures by stream number, 0: of all."""
        if self._up_since_s is None or uptime_s - self._up_since_s < LEARN_S:
            return
        found = read()
        if self._settings.discovery:
            self._announce({number: of.name or "" for number, of in found.items() if number})
        for number, of in found.items():
            where = self._topic(Topic.STREAM, number) if number else self._topic(Topic.TODAY)
            self._tell(where, msgspec.json.encode(of))
        with self._lock:
            gone = [each for each in self._told if self._is_stream(each) and self._number(each) not in found]
        for each in gone:
            self._tell(each, b"")  # an empty retained message takes the old one away
        self._tell(self._topic(Topic.AVAILABILITY), ONLINE.encode())

    def say(self, where: str, payload: bytes, timeout_s: float) -> str | None:
        """Publish once, under a topic of anybody's choice, and wait until the broker has it; or why it has it not."""
        if self._up_since_s is None:
            return self.problem or reasons.SITE_NOT_CONNECTED.format(where=self.where)
        sent = self._client.publish(where, payload, qos=1)
        with suppress(RuntimeError, ValueError):  # the connection was lost meanwhile, or the queue is full
            sent.wait_for_publish(timeout_s)
        return None if sent.is_published() else reasons.SITE_NOT_CONFIRMED.format(where=self.where)

    def _announce(self, streams: dict[int, str]) -> None:
        about = self._about
        wanted = (self._settings.topic, about.box, about.version, about.hardware, about.page, streams)
        self._announced |= frozenset(discovery.device(*wanted)["cmps"])
        payload = discovery.device(*wanted, gone=self._announced)
        self._tell(discovery.config_topic(self._settings.discovery, about.box), json.dumps(payload).encode())

    def _tell(self, where: str, payload: bytes) -> None:
        with self._lock:
            if self._told.get(where) == payload:
                return
            self._told[where] = payload
        self._client.publish(where, payload, qos=1, retain=True)

    def _topic(self, kind: Topic, number: int = 0) -> str:
        return topic(self._settings.topic, self._about.box, kind, number)

    def _is_stream(self, where: str) -> bool:
        return where.startswith(self._topic(Topic.STREAM).removesuffix("0"))

    def _number(self, where: str) -> int:
        number = where.rpartition("/")[2]
        return int(number) if number.isdecimal() else -1

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        self._is_refused = code.is_failure
        if code.is_failure:
            self._say(reasons.of_site_refusal(code.value, str(code), self.where))
            return
        with self._lock:
            self._told.clear()
        # What it kept of us: streams that are gone since, and components that Home Assistant still has.
        learn = [(self._topic(Topic.STREAM).removesuffix("0") + "+", 1)]
        if self._settings.discovery:
            learn.append((discovery.config_topic(self._settings.discovery, self._about.box), 1))
        client.subscribe(learn)
        self._up_since_s = now().uptime_s
        self._say(None)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.retain:
            return
        if self._is_stream(message.topic):
            with self._lock:
                self._told.setdefault(message.topic, bytes(message.payload))
            return
        try:
            self._announced |= frozenset(json.loads(message.payload)["cmps"])
        except (ValueError, KeyError, TypeError):
            log.warning("what the broker on site kept under %s is not ours", message.topic)

    def _on_connect_fail(self, _client: mqtt.Client, _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this where it caught it, and tells it nowhere
        error = error or OSError(N_("no reason given"))
        self._say(reasons.of_site(error, self.where, self._settings.tls, time.time()))

    def _on_disconnect(self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        was_up, self._up_since_s = self._up_since_s is not None, None
        was_refused, self._is_refused = self._is_refused, False
        if code.is_failure and not was_refused:
            ended = reasons.SITE_ENDED.format(where=self.where)
            self._say(ended if was_up else reasons.of_site_closing(self.where, self._settings.tls))

    def _say(self, problem: str | None) -> None:
        if problem != self.problem:
            if problem:
                log.warning("%s", problem)
            else:
                log.info("the broker on site %s is told the figures", self.where)
        self.problem = problem


class Teller:
    """Tells the broker that is set now, and from a few seconds after a change on the page another one, or none.

    problem: what people must know, as a sentence; None: nothing.
    """

    def __init__(self, config: Config) -> None:
        """Raises UserError: a file that mb9k.toml names cannot be read."""
        self._config = config
        self._wrong: str | None = None
        self._version = rules.version(Mqtt())
        self._told: OnSite | None = None
        if rules.is_in_file(config):
            self._follow()

    @property
    def problem(self) -> str | None:
        """What is wrong with it, as a sentence."""
        told = self._told
        if self._wrong or told is None or told.problem is None:
            return self._wrong
        return told.problem

    def say(self, where: str, payload: bytes, timeout_s: float) -> str | None:
        """Have the broker told something once; why that did not work, in a sentence."""
        if (told := self._told) is None:
            return self._wrong or NOT_SET
        return told.say(where, payload, timeout_s)

    def step(self) -> None:
        """Tell what is new to whoever is to be told. Raises UserError, sqlite3.Error."""
        try:
            self._follow()
            self._wrong = None
        except UserError as error:
            self._wrong = CANNOT.format(error=str(error).rstrip("."))
            raise
        if (told := self._told) is None:
            return
        store, moment = Store.open_readonly(self._config.store_path), now()
        try:
            told.step(lambda: figures(store, moment), moment.uptime_s)
        finally:
            store.close()

    def stop(self) -> None:
        """Say that the box is off."""
        if self._told:
            self._told.stop()
        self._told = None

    def _follow(self) -> None:
        settings = rules.in_force(self._config)
        wanted = rules.version(settings)
        if wanted == self._version:
            return
        if self._told:
            self._told.leave(settings)
        self._told = None
        if settings.host:
            about = version(), machine.hardware(), self._config.web.base_url
            told = OnSite(settings, Announced(self._config.box, *about))
            told.start()
            self._told = told
        self._version = wanted


def _password(path: str) -> str | None:
    try:
        return Path(path).read_text().partition("\n")[0] if path else None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(NO_PASSWORD.format(path=path, error=system_words(error))) from error


def _tls(authority: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authority or None)
    except (OSError, ssl.SSLError) as error:
        raise UserError(NO_AUTHORITY.format(path=authority, error=system_words(error))) from error
    context.sslsocket_class = ClosingSocket
    return context
