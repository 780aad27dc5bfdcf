"""Joining a centre, leaving it, and how it goes. The page, the command line and the service `sync` call these."""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass

from appliance import joining, membership
from appliance.accounts.audit import Action
from appliance.certificates import CertificateError, Facts
from appliance.config import Config
from appliance.disk import MAKE_ROOM, means_full
from appliance.errors import InputError, NotSaved
from appliance.join_code import parse
from appliance.language import _, n_
from appliance.membership import Membership, MembershipError
from appliance.outside import system_words
from appliance.retold import retold
from appliance.store import Backlog, FleetStatus, Store
from appliance.times import Now, now

log = logging.getLogger(__name__)
CLOCK_OFF_S = 300.0
"""A box whose clock is further from the centre's is told so when it joins."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A box has joined. notice: what to look at besides, in words."""

    membership: Membership
    notice: str | None


def join(config: Config, store: Store, typed: str, moment: Now) -> Joined:
    """Join the centre that made this code. Raises InputError: why not, in words; NotSaved."""
    there = current(config)
    if there is not None:
        raise InputError(
            _(
                "This box belongs to {centre} already, as {box}. Leave it first.",
                centre=title(there),
                box=there.box,
            )
        )
    joined = joining.ask(parse(typed), wished_name(config), moment.utc)
    answer = joined.answer
    folder = config.state / membership.FOLDER
    one = Membership(answer.box, answer.host, answer.port, moment.utc, folder, answer.centre)
    try:
        membership.save(one, joined.key, answer.certificate, answer.authority)
    except FileExistsError as error:
        raise InputError(_("This box has just joined a centre, by somebody else or by mb9k.toml.")) from error
    except CertificateError as error:
        raise InputError(
            _("The centre's answer cannot be used: {error}. Upgrade both, and join again.", error=retold(str(error)))
        ) from error
    except OSError as error:
        raise NotSaved(_not_written(error)) from error
    with store.saving():
        store.summaries.forget_watermarks()  # of a centre it belonged to before
        store.fleet.forget_status()
        store.audit.add(Action.CENTRE_JOINED, title(one), box=one.box)
    log.info("this box has joined %s as %s", title(one), one.box)
    return Joined(one, _clock_notice(joined.clock_behind_s))


def join_if_configured(config: Config) -> Membership | None:
    """Join by the code in mb9k.toml, if there is one and the box belongs to no centre.

    The membership there is in the end, if any. Raises UserError: why not, in words.
    """
    there = current(config)
    if there is not None or not config.fleet.join_code:
        return there
    store = Store.open_existing(config.store_path)
    try:
        joined = join(config, store, config.fleet.join_code, now())
    finally:
        store.close()
    if joined.notice:
        log.warning("%s", joined.notice)
    return joined.membership


def leave(config: Config, store: Store) -> str:
    """Belong to no centre any more; what to know about it, in words. Raises InputError, NotSaved.

    What the centre has it keeps. What it has not, the box keeps, and tells the next one.
    """
    try:
        there: Membership | None = current(config)
    except MembershipError:
        there = None  # damaged: to leave is the way out
    try:
        if not membership.leave(config.state):
            raise InputError(_("This box belongs to no centre."))
    except OSError as error:
        raise NotSaved(_not_written(error)) from error
    with store.saving():
        store.summaries.forget_watermarks()
        store.fleet.forget_status()
        store.audit.add(Action.CENTRE_LEFT, title(there) if there else "")
    log.info("this box has left %s", title(there) if there else "its centre")
    words = [
        _("This box has left {centre}; its key is gone.", centre=title(there))
        if there
        else _("This box has left its centre; its key is gone.")
    ]
    if there:
        words.append(_("If it is not to come back as {box}, revoke it at the centre, too.", box=there.box))
    if config.fleet.join_code:
        words.append(_("It joins again when it starts: fleet.join_code is still in its configuration."))
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Status:
    """How this box and its centre get on. problem: why the membership cannot be used, or why there is no connection.

    link: as `sync` noted it last; None: not since it joined. certificate: this box's, if it can be read.
    """

    membership: Membership | None
    problem: str | None = None
    link: FleetStatus | None = None
    backlog: Backlog | None = None
    certificate: Facts | None = None
    is_syncing: bool = False

    @property
    def connected(self) -> bool:
        """Whether it is connected, as far as a service that runs says so."""
        return self.is_syncing and self.link is not None and self.link.connected


def status(config: Config, store: Store, moment: Now) -> Status:
    """How this box and its centre get on. Raises sqlite3.Error."""
    try:
        there = current(config)
    except MembershipError as error:
        return Status(None, str(error))
    is_syncing = store.services.is_alive("sync", moment)
    link = store.fleet.status()
    if there is None:  # the problem is then of the code in the configuration
        return Status(None, retold(link.problem) or None if link and is_syncing else None)
    problem = retold(link.problem) or None if link and is_syncing else None
    if not is_syncing:
        problem = _("The service `sync` is not running, so nothing is sent; start the box, or the service.")
    return Status(there, problem, link, store.summaries.backlog(), certificate(there), is_syncing)


def current(config: Config) -> Membership | None:
    """Which centre this box belongs to. Raises MembershipError."""
    return membership.load(config.state)


def certificate(there: Membership) -> Facts | None:
    """What its certificate says; None: it cannot be read."""
    try:
        return there.certificate()
    except MembershipError:
        return None


def title(there: Membership) -> str:
    """A centre as people are told of it."""
    return f"{there.centre} ({there.host})" if there.centre else there.host


def wished_name(config: Config) -> str:
    """What this box would like to be called: by its own name, or its machine's if it was given none."""
    return config.box if config.box != Config().box else socket.gethostname().partition(".")[0]


def _clock_notice(behind_s: float) -> str | None:
    if abs(behind_s) <= CLOCK_OFF_S:
        return None
    days, minutes = abs(behind_s) / 86_400, round(abs(behind_s) / 60)
    how_far = n_("{n} day", "{n} days", round(days)) if days >= 2 else n_("{n} minute", "{n} minutes", minutes)
    if behind_s > 0:
        return _(
            "The clock of this box is {how_far} behind the centre's: see that it is set right (`mb9k clock show`).",
            how_far=how_far,
        )
    return _(
        "The clock of this box is {how_far} ahead of the centre's: see that it is set right (`mb9k clock show`).",
        how_far=how_far,
    )


def _not_written(error: OSError) -> str:
    if means_full(error):
        return _("The disk of the box is full, so nothing was changed. {make_room}", make_room=_(MAKE_ROOM))
    return _(
        "The membership cannot be written ({trouble}): the box must be able to write into its state_dir.",
        trouble=system_words(error),
    )
