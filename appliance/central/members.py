"""Who belongs to the fleet: inviting a box, letting it in, renewing its certificate, and shutting it out."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from appliance.central import broker
from appliance.central.authority import CENTRE, Trust, broker_address, public_host
from appliance.central.config import CentralConfig
from appliance.central.database import Database
from appliance.central.takeover import take_over
from appliance.certificates import CertificateError, Signed
from appliance.errors import InputError, NotFound
from appliance.join_code import Answer, JoinCode, Request, new_secret
from appliance.language import N_, _
from appliance.messages import Certificate, client_id
from appliance.retold import retold
from appliance.secrets import digest
from appliance.times import utc_text

log = logging.getLogger(__name__)
HOUR_S = 3600
LONGEST_S = 365 * 86_400
MOST_BOXES = 10_000
RENEWALS_A_DAY = 5
INVITED, INVITED_SEVERAL = N_("invited {name}"), N_("invited {count} boxes")
WITHDREW, WITHDREW_SEVERAL = N_("withdrew the join code for {name}"), N_("withdrew the join code for several boxes")
JOINED, REVOKED = N_("joined"), N_("revoked")
EVENTS = (INVITED_SEVERAL, INVITED, WITHDREW_SEVERAL, WITHDREW, JOINED, REVOKED)
"""What is on record of these, in English; the page puts it into the language of who reads it."""
RELOAD_S = 0.3
"""How long the broker may take to read its lists again, before a connection is taken over."""


def invite(
    database: Database,
    config: CentralConfig,
    trust: Trust,
    now_s: float,
    *,
    by: str,
    title: str = "",
    site_id: int | None = None,
    boxes: int = 1,
    valid_s: float = HOUR_S,
    again: str | None = None,
) -> str:
    """A join code for one box, or for several that name themselves. Raises InputError, sqlite3.Error.

    by: who asks, for the record. title: of the one box; several are called as they wish. again: the id of a box that
    has lost its key; whoever joins by the code takes its place, and its old certificates end.
    """
    title = " ".join(title.split())
    if not 1 <= boxes <= MOST_BOXES:
        raise InputError(_("A join code is for 1 to {most} boxes.", most=MOST_BOXES))
    if not 60 <= valid_s <= LONGEST_S:
        raise InputError(_("A join code is good for a minute to a year."))
    if len(title) > 40:
        raise InputError(_("The name of a box has at most 40 characters."))
    if boxes == 1 and not title and not again:
        raise InputError(_("Give the box a name."))
    if again is not None and database.one("select id from boxes where id = ?", [again]) is None:
        raise NotFound(_("There is no box {box}.", box=again))
    if site_id is not None and database.one("select id from sites where id = ?", [site_id]) is None:
        raise NotFound(_("There is no such site."))
    secret = new_secret()
    with database.writing():
        database.execute(
            "insert into joins (secret_sha256, box_id, title, site_id, boxes_left, expires_utc, made_by, made_utc)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            [digest(secret), again, title, site_id, boxes, int(now_s + valid_s), by, int(now_s)],
        )
        several = INVITED_SEVERAL.format(count=boxes)
        what = INVITED.format(name=again or title) if again or title else several
        _note(database, now_s, what, person=by, box=again)
    return JoinCode(public_host(config), config.joining.port, trust.fingerprint(), secret).text()


def withdraw(database: Database, join_id: int, by: str, now_s: float) -> None:
    """Make a join code useless. Raises NotFound, sqlite3.Error."""
    with database.writing():
        row = database.execute("delete from joins where id = ? returning title", [join_id]).fetchone()
        if row is None:
            raise NotFound(_("There is no such join code, or no longer."))
        what = WITHDREW.format(name=row["title"]) if row["title"] else WITHDREW_SEVERAL
        _note(database, now_s, what, person=by)


def admit(database: Database, config: CentralConfig, trust: Trust, request: Request, now_s: float) -> Answer:
    """Let a box in that brings a join code. Raises InputError: why not, in words; sqlite3.Error."""
    secret, key = digest(request.secret), request_digest(request.request)
    with database.writing():
        row = database.execute("select * from joins where secret_sha256 = ?", [secret]).fetchone()
        if row is None:
            raise InputError(
                _(
                    "The centre does not know this join code: it was withdrawn, or made before the centre was set up"
                    " again. Have another one made."
                )
            )
        # Whoever did not get our answer asks again, with the same key.
        box = database.one(
            "select box_id from certificates"
            " where join_id = ? and key_sha256 = ? and revoked_utc is null and made_utc > ?",
            [row["id"], key, int(now_s - HOUR_S)],
        )
        if box is None:
            _refuse_over(row, now_s)
            taken = database.execute(
                "update joins set boxes_left = boxes_left - 1 where id = ? and boxes_left > 0 returning id", [row["id"]]
            ).fetchone()
            if taken is None:
                raise InputError(_("This join code was used already; have another one made for this box."))
            box = row["box_id"] or _new_box(database, row, request.name, now_s)
            if row["box_id"]:
                _replace(database, box, now_s)
            _note(database, now_s, JOINED, person=row["made_by"], box=box)
        signed = _sign(trust, request.request, box, now_s)
        _record(database, signed, box, key, now_s, join_id=row["id"])
    log.info("box %s has joined", box)
    host, port = public_host(config), config.broker.port
    return Answer(
        box=box,
        centre=config.name,
        host=host,
        port=port,
        now_utc=now_s,
        certificate=signed.pem,
        authority=trust.for_boxes(config),
    )


def renew(
    database: Database, config: CentralConfig, trust: Trust, box: str, request: str, now_s: float
) -> Certificate | None:
    """A box's next certificate, for one that the broker knows as this box. Raises sqlite3.Error.

    None: it does not belong here (any more), asks too often, or its request is unusable; the log says which.
    """
    with database.writing():
        known = database.one("select 1 from boxes where id = ? and revoked_utc is null", [box])
        sign_count = database.one(
            "select count(*) from certificates where box_id = ? and made_utc > ?", [box, int(now_s - 86_400)]
        )
        if not known or sign_count >= RENEWALS_A_DAY:
            log.warning(
                "%s gets no new certificate: %s", box, "it asks too often" if known else "it does not belong here"
            )
            return None
        try:
            signed = _sign(trust, request, box, now_s)
        except InputError as error:
            log.warning("%s gets no new certificate: %s", box, error)
            return None
        _record(database, signed, box, request_digest(request), now_s)
    log.info("%s has a new certificate, until %s", box, utc_text(signed.facts.expires_utc))
    return Certificate(certificate=signed.pem, authority=trust.for_boxes(config))


def revoke(
    database: Database,
    config: CentralConfig,
    trust: Trust,
    box: str,
    by: str,
    now_s: float,
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Shut a box out at once, also on the connection it has. Raises NotFound, UserError, sqlite3.Error.

    From the commit on, ingest takes nothing of it. Whether the broker was told, too: false where it is not ours or not
    on this machine; then its lists are still to be brought there.
    """
    with database.writing():
        row = database.execute(
            "update boxes set revoked_utc = ? where id = ? and revoked_utc is null returning machine", [int(now_s), box]
        ).fetchone()
        if row is None:
            raise NotFound(_("There is no box {box}, or it was revoked already.", box=box))
        _end_certificates(database, box, now_s)
        database.execute("delete from joins where box_id = ?", [box])
        _note(database, now_s, REVOKED, person=by, box=box)
    log.info("box %s was revoked by %s", box, by)
    return tell_broker(database, config, trust, now_s, [(box, row["machine"])], pause)


def tell_broker(
    database: Database,
    config: CentralConfig,
    trust: Trust,
    now_s: float,
    revoked: list[tuple[str, str]],
    pause: Callable[[float], None] = time.sleep,
) -> bool:
    """Write the broker's lists, have it read them, and close the connections of these boxes (id, machine).

    Whether the broker read them. Raises UserError, sqlite3.Error.
    """
    broker.write(config, trust, database, now_s)
    told = broker.reload(config)
    if told:
        pause(RELOAD_S)
    host, port = broker_address(config)
    for box, machine in revoked:
        take_over(client_id(box, machine), host, port, trust.broker_tls(config))
    return told


def request_digest(request: str) -> str:
    """By what a signing request is known again."""
    return hashlib.sha256(request.strip().encode()).hexdigest()


def _refuse_over(join: Any, now_s: float) -> None:
    if join["boxes_left"] <= 0:
        raise InputError(_("This join code was used already; have another one made for this box."))
    if join["expires_utc"] <= now_s:
        raise InputError(
            _(
                "This join code ended at {time} UTC; have another one made.",
                time=utc_text(join["expires_utc"])[:16].replace("T", " "),
            )
        )


def _sign(trust: Trust, request: str, box: str, now_s: float) -> Signed:
    try:
        return trust.authority.sign_box(request, box, now_s)
    except CertificateError as error:
        raise InputError(_("The box cannot be let in: {error}.", error=retold(str(error)))) from error


def _record(database: Database, signed: Signed, box: str, key: str, now_s: float, join_id: int | None = None) -> None:
    database.execute(
        "insert into certificates (serial, box_id, made_utc, expires_utc, join_id, key_sha256)"
        " values (?, ?, ?, ?, ?, ?)",
        [signed.facts.serial, box, int(now_s), int(signed.facts.expires_utc), join_id, key],
    )


def _new_box(database: Database, join: Any, wished: str, now_s: float) -> str:
    """A row for a box that comes for the first time; its id, made of its title, which stays when that changes."""
    title = join["title"] or " ".join(wished.split())[:40] or "box"
    base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:30] or "box"
    base = f"box-{base}" if base.startswith(CENTRE) else base
    number = 1
    while True:
        box = base if number == 1 else f"{base}-{number}"
        row = database.execute(
            "insert into boxes (id, title, site_id, joined_utc) values (?, ?, ?, ?)"
            " on conflict (id) do nothing returning id",
            [box, title, join["site_id"], int(now_s)],
        ).fetchone()
        if row is not None:
            return box
        number += 1


def _replace(database: Database, box: str, now_s: float) -> None:
    """Another machine, or the same one with another key, takes the place of a box."""
    database.execute("update boxes set revoked_utc = null, joined_utc = ? where id = ?", [int(now_s), box])
    _end_certificates(database, box, now_s)


def _end_certificates(database: Database, box: str, now_s: float) -> None:
    database.execute(
        "update certificates set revoked_utc = ? where box_id = ? and revoked_utc is null", [int(now_s), box]
    )


def _note(database: Database, now_s: float, what: str, person: str | None = None, box: str | None = None) -> None:
    database.execute(
        "insert into events (at_utc, box_id, person, what) values (?, ?, ?, ?)", [int(now_s), box, person, what]
    )
