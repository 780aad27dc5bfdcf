"""Calibration of a camera: faces of a stream that a person labels, and what they say of how the box errs there."""

from __future__ import annotations

from appliance.accounts.guard import Visitor
from appliance.calibration import FACES, MIN_TOLD, Threshold, estimate, proposed, thresholds, wrong_share
from appliance.errors import InputError, UserError
from appliance.faces import CLASSES, State
from appliance.language import N_, _
from appliance.local.pages import Site
from appliance.rules import calibration as rules
from appliance.store import Store, StoredDetection, Stream
from appliance.store.calibrations import Calibration, DrawnFace
from appliance.store.measuring import calibrated
from appliance.times import Now
from appliance.web.access import Access, App
from appliance.web.forms import field, see_other, whole_number
from appliance.web.pages import Page

KEYS = {State.MASK: "1", State.NO_MASK: "2", State.INCORRECT: "3", State.UNKNOWN: "4"}
LABEL_WORDS = {
    State.MASK: N_("Mask"),
    State.NO_MASK: N_("No mask"),
    State.INCORRECT: N_("Worn incorrectly"),
    State.UNKNOWN: N_("Cannot tell"),
}


def add_routes(app: App, site: Site) -> None:
    """The page, and what can be done there."""

    @app.get("/streams/<stream_id:int>/calibration", access=Access.OWNER)
    def page(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        return _page(site, store, visitor, stream, now)

    @app.post("/streams/<stream_id:int>/calibration", access=Access.OWNER)
    def begin(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        try:
            rules.begin(store, visitor.person, stream, now)
        except UserError as error:
            return _page(site, store, visitor, stream, now, problem=error)
        return site.pages.done(
            f"/streams/{stream.id}/calibration", _("Faces of this stream were drawn; label them now.")
        )

    @app.post("/streams/<stream_id:int>/calibration/label", access=Access.OWNER)
    def label(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        try:
            state = State(field("state"))
        except ValueError as error:
            raise InputError(_("Choose what the face is, then send again.")) from error
        position = whole_number(field("position"))
        try:
            rules.label(store, stream, _calibration_id(), -1 if position is None else position, state)
        except UserError as error:
            return _page(site, store, visitor, stream, now, problem=error)
        return see_other(f"/streams/{stream.id}/calibration#label")

    @app.post("/streams/<stream_id:int>/calibration/undo", access=Access.OWNER)
    def undo(store: Store, visitor: Visitor, stream: Stream, now: Now) -> Page:
        try:
            rules.take_back(store, stream, _calibration_id())
        except UserError as error:
            return _page(site, store, visitor, stream, now, problem=error)
        return see_other(f"/streams/{stream.id}/calibration#label")

    @app.get("/streams/<stream_id:int>/calibration/forget", access=Access.OWNER)
    def confirm_forgetting(stream: Stream) -> Page:
        return site.pages.page("calibration_forget.html", stream=stream)

    @app.post("/streams/<stream_id:int>/calibration/forget", access=Access.OWNER)
    def forget(store: Store, stream: Stream) -> Page:
        rules.forget(store, stream)
        return site.pages.done(f"/streams/{stream.id}/calibration", _("The calibration of this stream was forgotten."))


def _calibration_id() -> int:
    return whole_number(field("calibration")) or 0


def _page(
    site: Site, store: Store, visitor: Visitor, stream: Stream, now: Now, problem: UserError | None = None
) -> Page:
    newest = rules.newest(store, stream)
    face, shown = _next_face(store, newest)
    if shown:
        site.viewing.page(store, visitor, now, [shown])
    result = calibrated(store, stream.id)
    strata = store.calibrations.labelled(result.calibration.id) if result else []
    suggested = proposed(strata)
    return site.pages.page(
        "calibration.html",
        stream=stream,
        newest=newest,
        face=face,
        shown=shown,
        result=result,
        told=sum(len(each.told) for each in strata),
        wrong=wrong_share(strata),
        of_states=[(state, estimate(strata, state)) for state in CLASSES],
        thresholds=thresholds(strata),
        suggested=suggested,
        is_present=_is_present(suggested, thresholds(strata)),
        keys=KEYS,
        label_words=LABEL_WORDS,
        faces=FACES,
        least=MIN_TOLD,
        statistics=store.privacy.statistics_only(),
        problem=problem,
    )


def _next_face(store: Store, newest: Calibration | None) -> tuple[DrawnFace | None, StoredDetection | None]:
    face = store.calibrations.next_face(newest.id) if newest else None
    return face, store.detections.get(face.detection_id) if face else None


def _is_present(suggested: Threshold | None, every: list[Threshold]) -> bool:
    """Whether what is proposed is what the box does."""
    return suggested is not None and suggested == every[0]
