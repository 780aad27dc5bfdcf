"""The box's own Wi-Fi, while it has no other network: when it is on, and how NetworkManager is told so."""

from __future__ import annotations

import logging
import re
import secrets
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.files import replace_file
from appliance.first_boot.wifi import ssid_bytes
from appliance.notes import Hotspot, Notes
from appliance.secrets import KEY_ALPHABET

log = logging.getLogger(__name__)

NAME = "mb9k-hotspot"
ADDRESS = "10.42.0.1"
"""NetworkManager's own choice for shared networks."""
PATIENCE_S = 120.0  # without a network, until the hotspot comes on
ON_S, PAUSE_S = 600.0, 90.0
"""A radio that is a hotspot joins nothing: now and then it is off for so long, so that a known Wi-Fi is tried."""
JOIN_S = 90.0  # so long it is let try to join a Wi-Fi
STEP_S = 10.0
ANSWER_S = 60.0
_NETWORKS = frozenset({"ethernet", "wifi", "gsm", "bond", "vlan", "wifi-p2p"})
_NAMESPACE = uuid.UUID("8d6f3c1e-7a0b-4c43-9a6e-0f6f7c2b9d51")


@dataclass(frozen=True, slots=True)
class Facts:
    """How things are. radio: the Wi-Fi device, empty: none. is_on: the hotspot. has_network: another one than that.

    knows_wifi: there is a Wi-Fi to join; is_joining: that is tried now. has_guests: somebody is in the hotspot.
    """

    radio: str
    is_on: bool
    has_network: bool
    knows_wifi: bool
    is_joining: bool
    has_guests: bool


class Decision:
    """Whether the hotspot is to be on. Pure, but for what it remembers. lost_s: since when there is no network."""

    def __init__(self, lost_s: float | None = None) -> None:
        self._lost_s = lost_s
        self._on_s: float | None = None
        self._paused_s: float | None = None
        self._joining_s: float | None = None

    def wants(self, facts: Facts, now_s: float) -> bool:
        """now_s: seconds of a clock that never goes back."""
        if facts.has_network or not facts.radio:
            self._lost_s = self._on_s = self._paused_s = self._joining_s = None
            return False
        self._lost_s = now_s if self._lost_s is None else self._lost_s
        self._joining_s = None if not facts.is_joining else now_s if self._joining_s is None else self._joining_s
        if self._joining_s is not None and now_s - self._joining_s < JOIN_S:
            return False
        if not facts.is_on:
            self._on_s = None
            since_s, wait_s = (self._lost_s, PATIENCE_S) if self._paused_s is None else (self._paused_s, PAUSE_S)
            return now_s - since_s >= wait_s
        self._on_s = now_s if self._on_s is None else self._on_s
        if facts.knows_wifi and not facts.has_guests and now_s - self._on_s >= ON_S:
            self._paused_s = now_s
            return False
        return True


Run = Callable[[Sequence[str]], str]
"""Runs a program; what it printed. Raises OSError, subprocess.SubprocessError."""


def run(words: Sequence[str]) -> str:
    """The usual one: a program of this machine, in English."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    return done.stdout


class NetworkManager:
    """What is asked and told of NetworkManager, by its command line. connections: its folder of connections."""

    def __init__(self, connections: Path, run_program: Run = run) -> None:
        self._path = connections / f"{NAME}.nmconnection"
        self._run = run_program

    def facts(self) -> Facts:
        """How things are. Raises OSError, subprocess.SubprocessError."""
        devices = _table(self._run(["nmcli", "-t", "-f", "DEVICE,TYPE,STATE,CONNECTION", "device"]))
        there = [row for row in devices if len(row) == 4]
        radio = next((name for name, kind, state, _ in there if kind == "wifi" and _is_usable(state)), "")
        connected = [(kind, name) for _, kind, state, name in there if state.startswith("connected")]
        is_on = ("wifi", NAME) in connected
        known = _table(self._run(["nmcli", "-t", "-f", "TYPE,NAME", "connection", "show"]))
        return Facts(
            radio,
            is_on,
            any(kind in _NETWORKS and name != NAME for kind, name in connected),
            any(row[0] == "802-11-wireless" and row[1] != NAME for row in known if len(row) == 2),
            any(kind == "wifi" and state.startswith("connecting") and name != NAME for _, kind, state, name in there),
            is_on and bool(self._run(["iw", "dev", radio, "station", "dump"]).strip()),
        )

    def switch_on(self, ssid: str) -> Hotspot:
        """Have the hotspot, under this name; its password stays. Raises OSError, subprocess.SubprocessError."""
        password = _password(self._path)
        replace_file(self._path, connection(ssid, password))
        self._run(["nmcli", "connection", "load", str(self._path)])
        self._run(["nmcli", "connection", "up", NAME])
        return Hotspot(ssid, password, ADDRESS)

    def switch_off(self) -> None:
        """Have none. Raises OSError, subprocess.SubprocessError."""
        self._run(["nmcli", "connection", "down", NAME])


def connection(ssid: str, password: str) -> str:
    """The hotspot as NetworkManager's keyfile plugin reads it: WPA2, addresses from the box, IPv4 only."""
    return f"""[connection]
id={NAME}
uuid={uuid.uuid5(_NAMESPACE, NAME)}
type=wifi
autoconnect=false

[wifi]
mode=ap
ssid={ssid_bytes(ssid)}

[wifi-security]
key-mgmt=wpa-psk
proto=rsn;
pairwise=ccmp;
psk={password}

[ipv4]
method=shared
address1={ADDRESS}/24

[ipv6]
method=disabled
"""


def _password(path: Path) -> str:
    """The hotspot's password, made at the first time: 12 characters, 59 bits."""
    try:
        found = re.search(r"^psk=(\S+)$", path.read_text(), re.MULTILINE)
    except FileNotFoundError:
        found = None
    if found:
        return found[1]
    letters = "".join(secrets.choice(KEY_ALPHABET.lower()) for _ in range(12))
    return "-".join(letters[at : at + 4] for at in range(0, 12, 4))


def _is_usable(state: str) -> bool:
    return state not in ("unmanaged", "unavailable")


def _table(text: str) -> list[list[str]]:
    """What `nmcli -t` printed: fields between colons; a colon in a field has a backslash before it."""
    rows = [re.split(r"(?<!\\):", line) for line in text.splitlines()]
    return [[re.sub(r"\\(.)", r"\1", field) for field in row] for row in rows]


def step(manager: NetworkManager, decision: Decision, notes: Notes, ssid: str, now_s: float) -> None:
    """Look once, and switch if that is due. Raises OSError, subprocess.SubprocessError."""
    facts = manager.facts()
    wants = decision.wants(facts, now_s)
    if wants == facts.is_on:
        if not wants:
            notes.say_hotspot(None)
        return
    if wants:
        notes.say_hotspot(manager.switch_on(ssid))
        log.warning("there is no network: the box's own Wi-Fi %s is on", ssid)
    else:
        manager.switch_off()
        notes.say_hotspot(None)
        log.warning("the box's own Wi-Fi is off")


def keep_watch(manager: NetworkManager, notes: Notes, clock: Callable[[], float], stopping: threading.Event) -> None:
    """Step until `stopping` is set; trouble is logged once, and tried again. clock: seconds that never go back."""
    trouble = ""
    decision = Decision(clock() - PATIENCE_S)  # who starts this has waited already
    while True:
        try:
            step(manager, decision, notes, socket.gethostname(), clock())
            trouble = ""
        except (OSError, subprocess.SubprocessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip()
            if said != trouble:
                log.error("the box's own Wi-Fi cannot be seen to, trying again: %s", said)
            trouble = said
        if stopping.wait(STEP_S):
            return
