"""What MediaMTX says, for our log: its warnings and errors without any path, since paths hold stream keys.

It alone says when somebody came with an address that is no path at all. That becomes a refusal for the page, as the
gate's are.
"""

from __future__ import annotations

import logging
import re

from appliance.media.refusals import NOT_A_KEY, Refusals, wrong_address

log = logging.getLogger(__name__)

HIDDEN = "•••"
LEVELS = {"WAR": logging.WARNING, "ERR": logging.ERROR}

_LINE = re.compile(r"(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?(DEB|INF|WAR|ERR) (.*)", re.DOTALL)
_WRONG_ADDRESS = re.compile(
    r"\[RTMPS?\] \[conn (\S+):\d+\] closed: (?:invalid path name: [^(]*\((.*?)\)?$|parse \"rtmp)"
)
_DEAF = re.compile(r"\[(?:RTMPS?|RTSP)\] accept ")
_SECRETS = (
    (re.compile(r"\b(rtmps?|rtsps?|https?)://\S*"), rf"\1://{HIDDEN}"),
    (re.compile(r"\b(invalid path name: [^(]*)\(.*"), rf"\1({HIDDEN})"),
    (re.compile(r"(\[path )[^\]]*\]"), rf"\1{HIDDEN}]"),
    (re.compile(r"(\bpath )(['\"]).*\2"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(live)/\S*", re.IGNORECASE), rf"\1/{HIDDEN}"),
    (re.compile(r"\?\S+"), f"?{HIDDEN}"),
    (re.compile(r"[0-9A-Za-z_-]{16,}"), HIDDEN),  # whatever else may be a key or a secret
)


def without_secrets(text: str) -> str:
    """A line of MediaMTX's without what may be a path, a stream key, a query or a password."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def pass_on(line: str, refusals: Refusals) -> bool:
    """Log what people must know of one line, and record an address that the gate was not asked about.

    Whether MediaMTX listens on: once it cannot accept a connection it never tries again, and yet keeps running.
    """
    found = _LINE.fullmatch(line.strip())
    if found is None:  # a panic of Go's, for one: many lines in no form
        log.error("MediaMTX: %s", without_secrets(line.strip()))
        return True
    level, text = found.groups()
    wrong = _WRONG_ADDRESS.match(text)
    if wrong:
        remote, path = wrong.groups()
        refusals.add(remote.strip("[]"), "publish", NOT_A_KEY if path is None else wrong_address(path))
    elif level in LEVELS:
        log.log(LEVELS[level], "MediaMTX: %s", without_secrets(text))
    return level != "ERR" or _DEAF.match(text) is None
