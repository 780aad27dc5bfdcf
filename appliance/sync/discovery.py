"""What Home Assistant must know to show a box as one device: pure functions.

Its device discovery: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery, with the short forms of its keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from appliance.sync.figures import OFFLINE, ONLINE, Topic, topic

STATES = {
    "people": ("People today", "mdi:account-group"),
    "mask": ("With a mask today", "mdi:face-mask"),
    "no_mask": ("Without a mask today", "mdi:face-mask-outline"),
    "incorrect": ("Mask worn incorrectly today", "mdi:account-alert"),
    "unknown": ("Unknown today", "mdi:account-question"),
}
RATE = ("Compliance rate today", "mdi:percent")
MAX_STREAMS = 100
"""More would make a message that brokers refuse."""


def config_topic(discovery_prefix: str, box: str) -> str:
    """Where Home Assistant looks for the device; retained."""
    return f"{discovery_prefix}/device/mb9k_{box}/config"


def device(
    prefix: str, box: str, version: str, hardware: str, page: str, streams: Mapping[int, str], gone: Iterable[str] = ()
) -> dict[str, Any]:
    """The device with all its entities. page: the address of the box's page, or empty.

    streams: names by number. gone: the keys of components that were announced before and are no more, which Home
    Assistant forgets when only their platform is left.
    """
    today = topic(prefix, box, Topic.TODAY)
    components = {"rate": _rate(f"mb9k_{box}_rate", today, "")}
    for state in STATES:
        components[state] = _persons(f"mb9k_{box}_{state}", today, state, "")
    for number, name in sorted(streams.items())[:MAX_STREAMS]:
        components |= _of_stream(prefix, box, number, name or f"Stream {number}")
    for key in gone:
        if key not in components:
            components[key] = {"p": "binary_sensor" if key.endswith("_live") else "sensor"}
    about = {"ids": [f"mb9k_{box}"], "name": box, "mf": "mb9k", "sw": version}
    return {
        "dev": {**about, **({"mdl": hardware} if hardware else {}), **({"cu": page} if page else {})},
        "o": {"name": "mb9k", "sw": version},
        "avty_t": topic(prefix, box, Topic.AVAILABILITY),
        "pl_avail": ONLINE,
        "pl_not_avail": OFFLINE,
        "qos": 1,
        "cmps": components,
    }


def _of_stream(prefix: str, box: str, number: int, name: str) -> dict[str, dict[str, Any]]:
    key, where = f"stream_{number}", topic(prefix, box, Topic.STREAM, number)
    live = {
        "p": "binary_sensor",
        "uniq_id": f"mb9k_{box}_{key}_live",
        "name": f"{name}: LIVE",
        "stat_t": where,
        "val_tpl": "{{ value_json.live }}",
        "json_attr_t": where,
        "dev_cla": "running",
    }
    return {
        f"{key}_live": live,
        f"{key}_people": _persons(f"mb9k_{box}_{key}_people", where, "people", f"{name}: "),
        f"{key}_unknown": _persons(f"mb9k_{box}_{key}_unknown", where, "unknown", f"{name}: "),
        f"{key}_rate": _rate(f"mb9k_{box}_{key}_rate", where, f"{name}: "),
    }


def _persons(unique_id: str, where: str, state: str, before: str) -> dict[str, Any]:
    label, icon = STATES[state]
    return {
        "p": "sensor",
        "uniq_id": unique_id,
        "name": _named(label, before),
        "ic": icon,
        "stat_t": where,
        "val_tpl": f"{{{{ value_json.{state} }}}}",
        "unit_of_meas": "persons",
        # A correction may lower it, so it is no counter that only rises; its day begins again with `since`.
        "stat_cla": "total",
        "lrst_val_tpl": "{{ value_json.since }}",
    }


def _rate(unique_id: str, where: str, before: str) -> dict[str, Any]:
    label, icon = RATE
    return {
        "p": "sensor",
        "uniq_id": unique_id,
        "name": _named(label, before),
        "ic": icon,
        "stat_t": where,
        "val_tpl": "{{ value_json.compliance }}",
        "json_attr_t": where,
        "unit_of_meas": "%",
        "stat_cla": "measurement",
        "sug_dsp_prc": 1,
    }


def _named(label: str, before: str) -> str:
    return f"{before}{label[0].lower()}{label[1:]}" if before else label
