"""One message to a webhook: a POST of JSON, signed if there is a secret. Redirects are not followed.

The headers and the signature are those of https://www.standardwebhooks.com, for which there are libraries.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from appliance.alerts.sending import Undelivered
from appliance.deadline import Deadline
from appliance.language import N_, _
from appliance.outside import certificate_words, quoted, system_words

STEP_TIMEOUT_S = 5.0
WHOLE_TIMEOUT_S = 10.0
"""A server that sends a byte now and then holds nobody up."""
_PREFIX = "whsec_"


def signature(secret: str, uid: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: HMAC-SHA256 of the id, the time and the body, with dots between.

    secret: text; or, behind `whsec_`, bytes in base64.
    """
    key = secret.encode()
    if secret.startswith(_PREFIX):
        with suppress(binascii.Error):
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    signed = f"{uid}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def post(url: str, secret: str, uid: str, body: bytes, now_utc: float) -> None:
    """Send one message; returns once the server has said 2xx. Raises Undelivered."""
    timestamp_s = int(now_utc)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "mb9k",
        "webhook-id": uid,
        "webhook-timestamp": str(timestamp_s),
    }
    if secret:
        headers["webhook-signature"] = signature(secret, uid, timestamp_s, body)
    parts = urlsplit(url)
    host = parts.hostname or ""
    with Deadline(WHOLE_TIMEOUT_S) as deadline:
        try:
            status, where = _asked(url, body, headers, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Undelivered(_why(host, TimeoutError() if deadline.is_over else error)) from error
    if 300 <= status < 400:
        leads = urlsplit(where).netloc
        if leads:
            raise Undelivered(
                _("{host} leads elsewhere (to {leads}): give the address it leads to.", host=host, leads=leads)
            )
        raise Undelivered(_("{host} leads elsewhere: give the address it leads to.", host=host))
    if not 200 <= status < 300:
        words = N_("{host} answers {status} ({meaning}): see the address, and what it expects.")
        raise Undelivered(_(words, host=host, status=status, meaning=_meaning(status)))


def _asked(url: str, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> tuple[int, str]:
    """The status of the answer, and where it leads."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_tls, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if is_tls else 80)
    connection = http.client.HTTPConnection(host, port, timeout=STEP_TIMEOUT_S)
    connection.default_port = 443 if is_tls else 80  # which the header Host leaves out
    plain = socket.create_connection((host, port), STEP_TIMEOUT_S)
    connection.sock = plain
    try:
        deadline.begin(plain)  # before TLS is agreed on, which a server can draw out, too
        if is_tls:
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location") or ""
    finally:
        connection.close()


def _meaning(status: int) -> str:
    return http.client.responses.get(status) or _("of no known meaning")


def _why(host: str, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = quoted(certificate_words(error))
        return _(
            "{host} shows a certificate that is not valid ({why}): see the name in the address.", host=host, why=why
        )
    if isinstance(error, ssl.SSLError):
        return _(
            "{host} cannot agree on encryption: see whether the address begins with http:// or https://.", host=host
        )
    if isinstance(error, socket.gaierror):
        return _("{host} cannot be found: see its name, and whether this machine reaches a name server.", host=host)
    if isinstance(error, TimeoutError):
        return _("{host} did not answer in time: see the address, and whether the server runs.", host=host)
    if isinstance(error, http.client.HTTPException | ValueError):
        return _("{host} does not answer as a web server does: see the address and its port.", host=host)
    why = quoted(system_words(error))
    return _("{host} cannot be reached ({why}): see the address, and whether the server runs.", host=host, why=why)
