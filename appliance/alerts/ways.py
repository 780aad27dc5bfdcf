"""The ways that a box and a centre have in common: webhook and e-mail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance import mail
from appliance.alerts import message, webhook
from appliance.alerts.log import Event
from appliance.alerts.message import Site
from appliance.alerts.recipients import Recipient
from appliance.alerts.sending import Send, SendsMany, Undelivered
from appliance.errors import InputError, UserError
from appliance.language import N_, _

NO_SERVER = N_("No mail server is set: an admin sets one on the page Alerts.")


def by_webhook(site: Callable[[], Site]) -> Send:
    """Sends to webhooks. site: who tells, as it is now."""

    def send(recipient: Recipient, event: Event) -> None:
        body = message.document(event, site())
        webhook.post(recipient.address, recipient.secret, event.uid, body, time.time())

    return send


def by_mail(folder: Path, site: Callable[[], Site]) -> Send:
    """Sends mail, by the server that is set now. folder: where mail.load finds it."""
    return _Mail(folder, site)


class _Mail(SendsMany):
    def __init__(self, folder: Path, site: Callable[[], Site]) -> None:
        self._folder, self._site = folder, site

    def __call__(self, recipient: Recipient, event: Event) -> None:
        """Deliver one message."""
        self._send(message.mail(event, self._site(), recipient.address))

    def many(self, recipient: Recipient, events: Sequence[Event]) -> None:
        """Deliver all of these as one message."""
        self._send(message.mail_of_many(events, self._site(), recipient.address))

    def _send(self, written: mail.Mail) -> None:
        try:
            server = mail.load(self._folder)
            if server is None:
                raise Undelivered(_(NO_SERVER))
            mail.send(server, written, time.time())
        except mail.MailError as error:
            raise Undelivered(str(error), error.is_final) from error
        except InputError as error:
            raise Undelivered(str(error), is_final=True) from error
        except UserError as error:
            raise Undelivered(str(error)) from error
