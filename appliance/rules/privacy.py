"""A box that keeps statistics only, and back. What it kept before goes: detections, images, finer sums, backups."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass

from appliance.accounts.audit import Action
from appliance.accounts.audit_subjects import THE_BOX
from appliance.accounts.people import Person
from appliance.config import Config
from appliance.errors import InputError
from appliance.images import ImageFiles
from appliance.language import P_, _
from appliance.previews import Previews
from appliance.store import DetectionFilter, Kind, Store
from appliance.store.backup import Backups
from appliance.store.soundness import ASIDE
from appliance.times import Now

log = logging.getLogger(__name__)

TITLE = P_("receipt", "all detections, images, live pictures, backups and sums finer than half an hour")


@dataclass(frozen=True, slots=True)
class Loss:
    """What would go. untold_minutes: of which a centre does not know yet, and would never."""

    detections: int
    days_of_images: int
    backups: int
    set_aside: int
    untold_minutes: int


def loss(config: Config, store: Store) -> Loss:
    """What would go if the box kept statistics only from now on. Raises OSError."""
    told = store.fleet.status() is not None
    return Loss(
        detections=store.detections.counts(DetectionFilter()).total,
        days_of_images=len(ImageFiles(config.images_dir).days()),
        backups=len(Backups(config.backups_dir).all()),
        set_aside=len(list(config.state.glob(f"*{ASIDE}*"))),
        untold_minutes=store.summaries.backlog().minutes if told else 0,
    )


def keep_statistics_only(config: Config, store: Store, by: Person, now: Now) -> int:
    """Keep sums only from now on, and remove what there is that is finer. The id of the receipt.

    Raises InputError, NotSaved. Files that cannot be removed now are removed by the watcher.
    """
    with store.saving():
        if store.privacy.statistics_only():
            raise InputError(_("This box keeps statistics only already."))
        deleted = store.receipts.measure()
        receipt_id = store.receipts.add(Kind.STATISTICS, TITLE, by.name, deleted, now.utc)
        store.privacy.keep_statistics_only(by.name, now.utc)
        store.views.forget_all()
        store.crossings.coarsen()
        store.still_places.forget_all()
        told = {"detections": deleted.detections, "images": deleted.images, "receipt": receipt_id}
        store.audit.add(Action.STATISTICS_ONLY, THE_BOX, **told)
    try:
        remove_files(config, store)
    except OSError as error:
        log.error("images and copies of before cannot be removed yet, trying again: %s", error)
    return receipt_id


def keep_detections(store: Store) -> None:
    """Keep detections again from now on. Raises NotSaved."""
    with store.saving():
        store.privacy.keep_detections()
        store.audit.add(Action.DETECTIONS_KEPT, THE_BOX)


def remove_files(config: Config, store: Store) -> None:
    """Remove images, live pictures, backups and what was set aside: all of before. Raises OSError, sqlite3.Error."""
    images = ImageFiles(config.images_dir)
    for day in images.days():
        images.forget(day)
        with store.writing():
            store.erasures.forget_day(day)
            store.ages.forget_image_day(day)
    shutil.rmtree(Previews(config.run).folder, ignore_errors=True)
    for backup in Backups(config.backups_dir).all():
        backup.path.unlink(missing_ok=True)
    for aside in config.state.glob(f"*{ASIDE}*"):
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink(missing_ok=True)
    with store.writing():
        store.privacy.note_files_removed()
