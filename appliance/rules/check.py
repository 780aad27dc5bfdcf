"""`mb9k check`: whether what the box remembers is whole and by the rules, and what to do if it is not."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing

from appliance.accounts.audit import Action
from appliance.address import shown
from appliance.config import Config
from appliance.disk import FULL, MAKE_ROOM, Reserve
from appliance.errors import InputError, UserError
from appliance.images import ImageFiles, Integrity
from appliance.language import N_, _
from appliance.names import person_name, stream_name
from appliance.retold import retold
from appliance.rules import audit
from appliance.rules.sources import clean_source
from appliance.store import Store, StoredImage, soundness
from appliance.store.backup import Backup, Backups
from appliance.store.soundness import Fault, Remedy
from appliance.times import now
from appliance.vision.reading.reach import Reach, SourceRefused


def refuse_unsound(config: Config) -> None:
    """What every service asks before it starts. Raises UserError: one line, what is wrong and what to do."""
    if fault := _fault(config):
        raise UserError(_sentence(fault, config))


def _fault(config: Config, thorough: bool = False) -> Fault | None:
    """Why no service may start on the store there is; None if all may.

    Without any room a store cannot even be read; the reserve is there for that, too.
    """
    reserve = Reserve(config.state)
    while True:
        fault = soundness.diagnose(config.store_path, thorough, config.backups_dir)
        if fault is None or fault.remedy is not Remedy.ROOM or not reserve.give_up_if_full():
            return fault


def _sentence(fault: Fault, config: Config) -> str:
    next_step = _what_to_do(fault, config, _newest_backup(config))
    words = N_("{database} {what}; {next_step}")
    return _(words, database=config.store_path, what=retold(fault.what), next_step=next_step)


def _newest_backup(config: Config) -> Backup | None:
    try:
        return Backups(config.backups_dir).newest()
    except OSError:
        return None


def _what_to_do(fault: Fault, config: Config, newest: Backup | None) -> str:
    if fault.remedy is Remedy.UPDATE:
        return _("update mb9k")
    if fault.remedy is Remedy.OWNER:
        return _("{folder} and all in it must belong to the user the box runs as", folder=config.state)
    if fault.remedy is Remedy.ROOM:
        return _(FULL)
    if fault.remedy is Remedy.DISK:
        words = N_("look into `dmesg` and `df {folder}`, mend or change the disk, mount it for writing, start again")
        return _(words, folder=config.state)
    if fault.remedy is Remedy.WAIT:
        return _("end that one, or wait, and try again")
    if fault.remedy is Remedy.REPAIR:
        return _("`mb9k check --repair` makes it again")
    if newest:
        words = N_("stop the box; `mb9k restore` sets it aside and puts back the backup of {when}")
        return _(words, when=newest.when)
    return _("there is no backup; stop the box; `mb9k restore --new` sets it aside and begins an empty record")


def problems(config: Config) -> list[str]:
    """What is wrong with the store and its images and what to do, a line each; empty when all is well.

    Raises UserError where there is no store that could be looked into: one line, why and what to do.
    """
    if fault := _fault(config, thorough=True):
        raise UserError(_sentence(fault, config))
    try:
        refuse_new(config)
        with closing(Store.open_readonly(config.store_path)) as store:
            found = store.problems()
            if any(problem.startswith("migration") for problem in found):
                return found  # the rules read the tables as they will be
            found += broken_rules(store, Reach(config.source_folders))
            if audit.problems(config, store):
                found.append("entries of the audit were changed or are missing; `mb9k audit verify` says which")
            return found + _image_problems(ImageFiles(config.images_dir), store.detections.all_images())
    except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
        raise UserError(_sentence(soundness.fault_of(error, config.store_path), config)) from error


def refuse_new(config: Config) -> None:
    """Raise UserError if nothing was recorded yet, also if a first start was cut off. Raises sqlite3.Error, OSError."""
    if soundness.is_new(config.store_path):
        raise UserError(_("{database}: there is no record yet; `mb9k run` begins one", database=config.store_path))


def repair_parts(config: Config) -> list[str]:
    """Make again what is missing of the store and held nothing itself: which triggers and indexes. Raises UserError."""
    fault = _fault(config)
    if fault is None or fault.remedy is not Remedy.REPAIR:
        return []
    try:
        return soundness.make_again(config.store_path)
    except sqlite3.Error as error:
        raise UserError(_sentence(soundness.fault_of(error, config.store_path), config)) from error


def repair_sums(store: Store, made: Sequence[str] = ()) -> str | None:
    """Count again what sums are wrong; what was done, None if nothing. Raises InputError, NotSaved.

    made: what `repair_parts` has made again, which is told, too.
    """
    with store.saving():
        minutes = store.summaries.recount()
        sums = store.trends.recount()
        if minutes or sums or made:
            counted = {"minutes": minutes, "quarters": sums.quarters, "hours": sums.hours, "days": sums.days}
            store.audit.add(Action.SUMS_REPAIRED, **counted, **({"made_again": made} if made else {}))
    done = [f"{part} was made again" for part in made]
    if minutes:
        done.append(f"{_were(minutes, 'minute')} counted again by the detections; a centre is told what changed")
    if sums.quarters:
        done.append(f"{_were(sums.quarters, 'quarter of an hour', 'quarters of an hour')} counted again")
    if sums.hours:
        done.append(f"{_were(sums.hours, 'hour')} added up again")
    if sums.days:
        done.append(f"{_were(sums.days, 'day')} added up again")
    return "; ".join(done) or None


def _were(count: int, one: str, many: str = "") -> str:
    """`1 day was`, `2 days were`."""
    return f"1 {one} was" if count == 1 else f"{count} {many or f'{one}s'} were"


def notes(config: Config) -> list[str]:
    """What is no fault, but good to know of a store that is well, a line each."""
    if not config.store_path.exists():
        return []
    found = []
    with closing(Store.open_readonly(config.store_path)) as store:
        if waiting := store.erasures.count():
            found.append(
                "1 deleted image is still to be erased; the box does that when it runs"
                if waiting == 1
                else f"{waiting} deleted images are still to be erased; the box does that when it runs"
            )
    if Reserve(config.state).is_needed():
        found.append(f"the disk has room for its reserve only, so no image is kept. {MAKE_ROOM}")
    return found


_SPOILED = {
    Integrity.ERASED: (
        "{} image is gone ({}); its detection is kept, nothing need be done",
        "{} images are gone ({}); their detections are kept, nothing need be done",
    ),
    Integrity.DAMAGED: (
        "{} image is damaged on the disk ({}) and not shown; its detection is kept. Look into `dmesg`: a disk that"
        " spoils one file spoils others",
        "{} images are damaged on the disk ({}) and not shown; their detections are kept. Look into `dmesg`: a disk"
        " that spoils one file spoils others",
    ),
}
"""What is said of one such image, and of several: how many, and of which days."""


def _image_problems(files: ImageFiles, images: list[StoredImage]) -> list[str]:
    spoiled: dict[Integrity, Counter[str]] = {Integrity.ERASED: Counter(), Integrity.DAMAGED: Counter()}
    for image in images:
        integrity = files.integrity(image)
        if integrity is not Integrity.WHOLE:
            spoiled[integrity][image.day] += 1
    found = []
    for integrity, days in spoiled.items():
        count, of_each = sum(days.values()), ", ".join(f"{day}: {count}" for day, count in sorted(days.items()))
        found += [_SPOILED[integrity][count > 1].format(count, of_each)] if days else []
    return found


def broken_rules(store: Store, reach: Reach) -> list[str]:
    """The people and streams that no rule would let in today, as an earlier version may have; a line each.

    reach: where files may lie.
    """
    found = [
        f"the person {person.name!r}: {reason} Add them again under another name, give them these streams, and"
        " remove this one (page People)."
        for person in store.people.all()
        if (reason := _refusal(person_name, person.name))
    ]
    for stream in store.streams.all(now()):
        if reason := _refusal(stream_name, stream.name):
            found.append(f"the stream {stream.title!r}: {reason} Rename it on /streams/{stream.id}/edit.")
        for noun, url in (("source", stream.source_url), ("sub-stream", stream.watch_url)):
            if url is not None and (reason := _refusal(_clean_source, url) or _outside(url, reach)):
                found.append(
                    f"the {noun} {shown(url)!r} of {stream.title!r}: {reason} Change it on /streams/{stream.id}/edit."
                )
    return found


def _clean_source(source: str) -> str:
    return clean_source(source, by_admin=True)


def _outside(source: str, reach: Reach) -> str | None:
    """Why a file cannot be a source, though it is there."""
    if not source.startswith("/") or source.startswith("/dev/"):
        return None
    try:
        reach.open_file(source).close()
    except SourceRefused as refusal:
        return str(refusal)
    except OSError:
        return None  # a disk that is not plugged in: the stream's page says it
    return None


def _refusal(rule: Callable[[str], str], text: str) -> str | None:
    try:
        return None if rule(text) == text else "It is not written as the rules would store it."
    except InputError as error:
        return str(error)
