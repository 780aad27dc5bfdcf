"""The AsyncAPI document of everything mb9k says over MQTT: to a centre, and to a broker on site.

`python -m scripts.docs` writes it to docs/asyncapi.json; tests/test_asyncapi.py holds it against the code.
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from typing import Any

import msgspec

from appliance.messages import BOX, FROM_BOX, MAX_BYTES, RETAINED, SHAPES, TO_BOX, Kind
from appliance.messages import topic as fleet_topic
from appliance.sections import Mqtt
from appliance.sync import discovery
from appliance.sync.figures import OFFLINE, ONLINE, Figures, Topic
from appliance.sync.figures import topic as site_topic
from appliance.version import version

BOX_PARAMETER = "{box}"
ACCORDING_TO = {
    Kind.SUMS: "Persons by state, stream and minute; only a watermark frees what a box keeps to tell",
    Kind.HELLO: "Who a box is and what it could tell; at every connection",
    Kind.STATE: "How a box is; the last will says that it is gone",
    Kind.OUTCOME: "What became of a command",
    Kind.RENEWAL: "A signing request, before the certificate of a box ends",
    Kind.WATERMARKS: "Up to where the centre has committed what the box told",
    Kind.COMMAND: "What a person at the centre asks the box to do",
    Kind.CERTIFICATE: "The answer to a renewal",
}
ON_SITE = {
    Topic.AVAILABILITY: "Whether the box is there",
    Topic.TODAY: "Persons since midnight, of all streams",
    Topic.STREAM: "Persons since midnight, of one stream, and whether it is LIVE",
}
DISCOVERY = "discovery"


def document() -> dict[str, Any]:
    """The whole document."""
    shapes = [*SHAPES.values(), Figures]
    _, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    channels = _fleet_channels() | _site_channels()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mb9k over MQTT",
            "version": version(),
            "description": (
                "`fleet`: a box and its centre (MQTT 5, TLS, one client certificate per box; QoS 1). Payloads are JSON,"
                f" compressed by zlib where that is shorter to send, at most {MAX_BYTES} bytes. Fields that are not"
                " known are not looked at. `site`: what a box tells a broker in its own house, for people and for"
                " Home Assistant; JSON, QoS 1, all retained."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "fleet": {"host": "centre.example.org:8883", "protocol": "secure-mqtt", "protocolVersion": "5.0"},
            "site": {"host": "broker.example.org:1883", "protocol": "mqtt", "protocolVersion": "3.1.1"},
        },
        "channels": channels,
        "operations": _operations(),
        "components": {"schemas": schemas | _plain_schemas(), "messages": _messages()},
    }


def _fleet_channels() -> dict[str, Any]:
    return {
        f"fleet_{kind.value}": {
            "address": fleet_topic(BOX_PARAMETER, kind),
            "description": f"{ACCORDING_TO[kind]}.{' Retained.' if kind in RETAINED else ''}",
            "servers": [{"$ref": "#/servers/fleet"}],
            "parameters": {"box": {"description": f"The box's name in the fleet, {BOX}: that of its certificate"}},
            "messages": {kind.value: {"$ref": f"#/components/messages/{kind.value}"}},
        }
        for kind in Kind
    }


def _site_channels() -> dict[str, Any]:
    found = {}
    for kind, about in ON_SITE.items():
        address = site_topic(Mqtt().topic, BOX_PARAMETER, kind).replace("/0", "/{number}")
        found[f"site_{kind.name.lower()}"] = _site_channel(address, f"{about}. Retained.", kind.name.lower())
    address = discovery.config_topic(Mqtt().discovery, BOX_PARAMETER)
    found["site_discovery"] = _site_channel(address, "The box as a device of Home Assistant. Retained.", DISCOVERY)
    return found


def _site_channel(address: str, about: str, message: str) -> dict[str, Any]:
    parameters = {"box": {"description": "`box` in mb9k.toml"}}
    if "{number}" in address:
        parameters["number"] = {"description": "The stream's number, which no other stream ever gets"}
    return {
        "address": address,
        "description": about,
        "servers": [{"$ref": "#/servers/site"}],
        "parameters": parameters,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operations() -> dict[str, Any]:
    """What a box does; a centre does the reverse in the fleet's channels."""
    actions = {f"fleet_{kind.value}": "send" for kind in FROM_BOX}
    actions |= {f"fleet_{kind.value}": "receive" for kind in TO_BOX}
    actions |= dict.fromkeys(_site_channels(), "send")
    return {
        f"{action}_{channel}": {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
        for channel, action in actions.items()
    }


def _messages() -> dict[str, Any]:
    found = {
        kind.value: {"name": kind.value, "payload": {"$ref": f"#/components/schemas/{shape.__name__}"}}
        for kind, shape in SHAPES.items()
    }
    found |= {
        name: {"name": name, "payload": {"$ref": f"#/components/schemas/{schema}"}}
        for name, schema in (("today", "Figures"), ("stream", "Figures"), (DISCOVERY, "Device"))
    }
    found["availability"] = {
        "name": "availability",
        "contentType": "text/plain",
        "payload": {"$ref": "#/components/schemas/Availability"},
    }
    return found


def _plain_schemas() -> dict[str, Any]:
    example = discovery.device(Mqtt().topic, "hallway", version(), "", "", {1: "door"})
    return {
        "Availability": {"type": "string", "enum": [ONLINE, OFFLINE]},
        "Device": {
            "type": "object",
            "description": "Home Assistant's device discovery, https://www.home-assistant.io/integrations/mqtt/",
            "required": sorted(example),
            "properties": {name: {"type": "object"} for name in ("dev", "o", "cmps")},
            "examples": [example],
        },
    }
