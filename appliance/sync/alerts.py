"""Alerts by MQTT: what waits for a topic is told the broker on site, over the connection that there is to it."""

from __future__ import annotations

from appliance.alerts import message
from appliance.alerts.courier import Courier
from appliance.alerts.log import Event
from appliance.alerts.message import Site
from appliance.alerts.recipients import Recipient, Way
from appliance.alerts.sending import Undelivered
from appliance.config import Config
from appliance.rules.boxes import box_title
from appliance.store import Store
from appliance.sync.on_site import Teller

DELIVER_S = 1.0
CONFIRM_S = 5.0
"""So long the broker has to confirm a message."""


def alerts_by_mqtt(config: Config, on_site: Teller) -> Courier:
    """Who delivers them. What it could not deliver stands in the log of the alerts."""

    def send(recipient: Recipient, event: Event) -> None:
        about = Site(box_title(config) or config.box, "box", config.web.base_url, language=config.language)
        if wrong := on_site.say(recipient.address, message.document(event, about), CONFIRM_S):
            raise Undelivered(wrong)

    return Courier(Way.MQTT, send, lambda: Store.open_for_service(config.store_path))
