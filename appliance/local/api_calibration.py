"""Calibrations of cameras for programs: how the box errs at a stream's camera, by faces that people labelled."""

from __future__ import annotations

from bottle import HTTPResponse
from msgspec import Struct

from appliance.calibration import Share as Estimated
from appliance.calibration import estimate, proposed, wrong_share
from appliance.faces import CLASSES, State
from appliance.local.api_types import Ratio, Time
from appliance.store import Store, Stream
from appliance.store.measuring import Change, calibrated
from appliance.times import utc_text
from appliance.web.access import Access, App
from appliance.web.api import answer
from appliance.web.openapi import Operation


class Share(Struct, kw_only=True):
    """A share that was estimated by labels, with its 95 % interval; faces: of how many labelled ones."""

    value: Ratio
    low: Ratio
    high: Ratio
    faces: int


class StateErrors(Struct, kw_only=True):
    """How the box errs about one state. sensitivity: of those who are, it says so; specificity: of others, it does not.

    null: no such face was labelled, or the box says it of nobody.
    """

    state: State
    sensitivity: Share | None
    specificity: Share | None


class Calibration(Struct, kw_only=True, rename={"begun_utc": "begun", "since_utc": "since"}):
    """The newest finished calibration. since: first seen of whom it speaks. told: of how many faces a person knew it.

    holds: rates are corrected by it. changes: why it does not hold any more. wrong: of all whom the box judged.
    threshold: the share of the votes below which a person had better be unknown; null: too few labels.
    """

    begun_utc: Time
    since_utc: Time
    model: str
    labelled: int
    told: int
    holds: bool
    changes: list[Change]
    states: list[StateErrors]
    wrong: Share | None
    threshold: Ratio | None


class CalibrationState(Struct, kw_only=True):
    """Whether a stream is calibrated; null: none is finished. A person makes one on the stream's page."""

    calibration: Calibration | None


OPERATIONS = (
    Operation("GET", "/api/v1/streams/{stream_id}/calibration", "How the box errs at its camera", CalibrationState),
)


def add_routes(app: App) -> None:
    """The one there is: labelling is for people, who see the faces."""

    @app.get("/api/v1/streams/<stream_id:int>/calibration", access=Access.OWNER)
    def calibration(store: Store, stream: Stream) -> HTTPResponse:
        """How the box errs at its camera."""
        found = calibrated(store, stream.id)
        if found is None:
            return answer(CalibrationState(calibration=None))
        strata = store.calibrations.labelled(found.calibration.id)
        threshold = proposed(strata)
        states = []
        for state in CLASSES:
            errors = estimate(strata, state)
            shares = (errors.sensitivity, errors.specificity) if errors else (None, None)
            states.append(StateErrors(state=state, sensitivity=_share(shares[0]), specificity=_share(shares[1])))
        return answer(
            CalibrationState(
                calibration=Calibration(
                    begun_utc=utc_text(found.calibration.begun_utc),
                    since_utc=utc_text(found.calibration.since_utc),
                    model=found.calibration.camera.model,
                    labelled=found.calibration.labelled,
                    told=found.calibration.told,
                    holds=found.holds,
                    changes=list(found.changes),
                    states=states,
                    wrong=_share(wrong_share(strata)),
                    threshold=threshold.confidence if threshold else None,
                )
            )
        )


def _share(share: Estimated | None) -> Share | None:
    if share is None:
        return None
    return Share(value=round(share.value, 4), low=round(share.low, 4), high=round(share.high, 4), faces=share.n)
