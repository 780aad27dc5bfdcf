"""Closing a connection at the broker that somebody else holds, by taking its place.

MQTT ends an older connection when another comes with the same client id ([MQTT-3.1.4-3]). No broker's own interface is
needed for it, so it works with any of them.
"""

from __future__ import annotations

import ssl
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TIMEOUT_S = 5.0


def take_over(client_id: str, host: str, port: int, tls: ssl.SSLContext) -> bool:
    """Connect under this client id and go again; whether the broker took us, and so closed the other one."""
    connected = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
    client.tls_set_context(tls)
    client.connect_timeout = TIMEOUT_S
    client.on_connect = lambda _client, _data, _flags, reason, _properties: (
        None if reason.is_failure else connected.set()
    )
    try:
        client.connect(host, port)
        client.loop_start()
        return connected.wait(TIMEOUT_S)
    except OSError:
        return False
    finally:
        client.disconnect()
        client.loop_stop()
