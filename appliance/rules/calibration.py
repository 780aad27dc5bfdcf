"""What people may do to calibrate a camera: draw faces, label them, take a label back, forget all of it."""

from __future__ import annotations

import random

from appliance.accounts.audit import Action
from appliance.accounts.audit_subjects import DETECTION
from appliance.accounts.people import Person
from appliance.calibration import FACES, MIN_TOLD, allocated
from appliance.errors import InputError
from appliance.faces import State
from appliance.language import N_, _
from appliance.store import Store, Stream
from appliance.store.calibrations import Calibration
from appliance.times import Now

GONE_S = 120
"""Whoever was last seen so long ago has left: what the box judged does not change any more."""
TOO_FEW = N_(
    "Only {persons} persons of this stream have an image and were judged by the present model; at least {least} are"
    " needed. Wait until more have passed, or let images be kept: Edit the stream."
)
LABELLED_MEANWHILE = N_("This face has a label already, or was deleted meanwhile; here is the next one.")


def begin(store: Store, by: Person, stream: Stream, now: Now, chance: random.Random | None = None) -> int:
    """Draw faces of a stream to be labelled; the calibration's id. Raises InputError, NotSaved.

    chance: only for tests, in place of the system's.
    """
    if store.privacy.statistics_only():
        raise InputError(
            _(
                "This box keeps statistics only, so there are no faces to label; an admin can change that on"
                " /settings/privacy."
            )
        )
    with store.saving():
        camera, until_utc = store.calibrations.camera(stream.id), now.utc - GONE_S
        strata = store.calibrations.strata(stream.id, camera, until_utc) if camera else []
        persons = [each.persons for each in strata]
        if camera is None or sum(persons) < MIN_TOLD:
            raise InputError(_(TOO_FEW, persons=sum(persons), least=MIN_TOLD))
        drawn = list(zip(strata, allocated(persons, FACES), strict=True))
        calibration_id = store.calibrations.begin(
            stream.id, camera, drawn, by.name, now.utc, until_utc, chance or random.SystemRandom()
        )
        faces = min(FACES, sum(persons))
        store.audit.add(Action.CALIBRATION_BEGUN, stream.title, faces=faces, persons=sum(persons), model=camera.model)
    return calibration_id


def newest(store: Store, stream: Stream) -> Calibration | None:
    """The calibration of a stream that is labelled now, or was last."""
    return next(iter(store.calibrations.of_stream(stream.id)), None)


def label(store: Store, stream: Stream, calibration_id: int, position: int, state: State) -> None:
    """Say what a face is; UNKNOWN: it cannot be told. Raises InputError, NotSaved."""
    with store.saving():
        _of(store, stream, calibration_id)
        detection_id = store.calibrations.label(calibration_id, position, state)
        if detection_id is None:
            raise InputError(_(LABELLED_MEANWHILE))
        store.audit.add(Action.FACE_LABELLED, DETECTION.format(id=detection_id), stream=stream.id, state=state.value)


def take_back(store: Store, stream: Stream, calibration_id: int) -> None:
    """Take back the newest label. Raises InputError, NotSaved."""
    with store.saving():
        _of(store, stream, calibration_id)
        detection_id = store.calibrations.take_back(calibration_id)
        if detection_id is None:
            raise InputError(_("There is no label that could be taken back."))
        store.audit.add(Action.LABEL_TAKEN_BACK, DETECTION.format(id=detection_id), stream=stream.id)


def forget(store: Store, stream: Stream) -> None:
    """Remove all calibrations of a stream with their labels. Raises InputError, NotSaved."""
    with store.saving():
        if not store.calibrations.forget(stream.id):
            raise InputError(_("This stream is not calibrated, so there is nothing to forget."))
        store.audit.add(Action.CALIBRATION_FORGOTTEN, stream.title)


def _of(store: Store, stream: Stream, calibration_id: int) -> None:
    found = newest(store, stream)
    if found is None:
        raise InputError(_("No faces of this stream were drawn yet; draw some first."))
    if found.id != calibration_id:
        raise InputError(_("Another calibration was begun meanwhile; here is the next face of that."))
