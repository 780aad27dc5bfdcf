"""What the box says to people: times, problems, services, in plain words. Pure functions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from appliance.board import HOT_C, Board, Throttling
from appliance.calibration import Share
from appliance.disk import DISK_FULL, MAKE_ROOM
from appliance.faces import Detection, Health, PictureFault, State, Work
from appliance.keeping import ImageMode, Keeping
from appliance.language import N_, NO_BREAK, _, n_, weekday_short
from appliance.rates import Rate
from appliance.retold import retold as retold
from appliance.retold import told_as
from appliance.rules.detections import TITLE as DETECTION_TITLE
from appliance.rules.privacy import TITLE as STATISTICS_TITLE
from appliance.service import SERVICES
from appliance.store import BY_HAND, Deleted, Kind, Receipt, ServiceStatus, StoredDetection
from appliance.store.measuring import Calibrated, Change
from appliance.vision.reading.condition import codec_name as codec_name
from appliance.web.words import TOO_FEW as TOO_FEW  # views find all of them under `words`
from appliance.web.words import decimal as decimal
from appliance.web.words import duration as duration
from appliance.web.words import listed as listed
from appliance.web.words import number as number
from appliance.web.words import percent as percent
from appliance.web.words import persons_change as persons_change
from appliance.web.words import rate_words as rate_words
from appliance.web.words import size_words as size_words

MODE_WORDS = {
    ImageMode.EYES_PIXELATED: N_("eyes pixelated"),
    ImageMode.NO_IMAGES: N_("no images"),
    ImageMode.FULL: N_("full, faces as they are"),
}
STATE_WORDS = {
    State.MASK: N_("Mask"),
    State.NO_MASK: N_("No mask"),
    State.INCORRECT: N_("Worn incorrectly"),
    State.UNKNOWN: N_("Unknown"),
}
CHANGE_WORDS = {
    Change.MODEL: N_("another model judges"),
    Change.PICTURE: N_("the picture has another size"),
    Change.SOURCE: N_("the stream is fetched from another address"),
    Change.ZONES: N_("the zones were changed"),
    Change.VIEW: N_("the camera looks at something else"),
}
FAULT_MARKS = {
    PictureFault.DARK: N_("picture dark"),
    PictureFault.BLURRED: N_("picture blurred"),
    PictureFault.COVERED: N_("picture covered"),
    PictureFault.MOVED: N_("camera moved"),
}
FAULT_SENTENCES = {
    PictureFault.DARK: N_("The picture has been dark since {time}: is the lamp off, or the lens covered?"),
    PictureFault.BLURRED: N_("The picture has been blurred since {time}: clean the lens, or set its focus."),
    PictureFault.COVERED: N_("Something has covered the picture since {time}: is anything before the lens?"),
    PictureFault.MOVED: N_(
        "The camera has looked elsewhere since {time}: turn it back, or say on the page of the stream that this is the"
        " new view."
    ),
}
THROTTLING_WORDS = {
    Throttling.UNDER_VOLTAGE: N_("too little voltage"),
    Throttling.CAPPED: N_("its clock is held down"),
    Throttling.THROTTLED: N_("it is throttled"),
    Throttling.HOT: N_("it is too warm"),
}
TOO_LITTLE_VOLTAGE = N_(
    "The board gets too little voltage, so it runs more slowly and may stop. Use the power supply that its maker names,"
    " with a short cable."
)
TOO_SMALL = N_("Unknown: face too small")
IDLE_KEY_INTERVAL_S = 1  # as stored, in whole seconds: with more, every frame is decoded (vision/reading/decoding.py)
SENT_KEY_INTERVAL_S = 2  # what the page of a stream key advises
MANY_TOO_SMALL, FEW_LOOKS = 0.05, 0.9  # from here on people are told
UNKNOWN_WHILE_FULL = N_("While the disk of the box is full, it cannot be told whether this runs: {names}.")


def none_live(has_streams: bool, others: int) -> str:
    """What stands where streams that are LIVE would. others: how many streams belong to other people."""
    if others:
        return _("None of your streams is LIVE.") if has_streams else _("None of the streams is yours.")
    return _("No stream is LIVE.") if has_streams else _("There is no stream yet.")


def service_problems(services: list[ServiceStatus], disk_is_full: bool = False) -> list[str]:
    """What is wrong with the services, a sentence or two each; empty when all is well.

    disk_is_full: then a service that is not heard of could not write that it lives.
    """
    alive = {service.name: service for service in services if service.alive}
    missing = [service for service in SERVICES if service.without_it and service.name not in alive]
    problems = [retold(service.problem) for service in alive.values() if service.problem]
    if disk_is_full:
        names = ", ".join(f"`{service.name}`" for service in missing)
        unknown = [_(UNKNOWN_WHILE_FULL, names=names)] if missing else []
        return [f"{_(DISK_FULL)} {_(MAKE_ROOM)}", *unknown, *problems]
    return [
        _(service.without_it or "")
        + " "
        + _(
            "If this stays for more than a minute, restart the box, or start it by hand with `mb9k {service}`.",
            service=service.name,
        )
        for service in missing
    ] + problems


def board_notices(board: Board) -> list[str]:
    """What is wrong with the board, and what to do, a sentence or two each; empty when all is well."""
    now = board.throttled.now if board.throttled else frozenset()
    notices = [_(TOO_LITTLE_VOLTAGE)] if Throttling.UNDER_VOLTAGE in now else []
    warmest_c = board.warmest_c
    slowed = bool(now - {Throttling.UNDER_VOLTAGE})
    if (warmest_c is not None and warmest_c >= HOT_C) or (slowed and not notices):
        advice = _("Give it more air, a heat sink or a cooler place.")
        notices.append(f"{_warm_words(warmest_c, slowed)} {advice}")
    if board.memory and board.memory.is_short:
        left, size = size_words(board.memory.available_bytes), size_words(board.memory.size_bytes)
        notices.append(
            _(
                "Hardly any memory is left: {left} of {size}. Give the box fewer streams, or restart it; if that does"
                " not help for long, tell whoever looks after it.",
                left=left,
                size=size,
            )
        )
    return notices


def _warm_words(warmest_c: float | None, slowed: bool) -> str:
    if warmest_c is None:
        return _("The board is too warm and is slowed down.") if slowed else _("The board is too warm.")
    warm = f"{warmest_c:.0f}"
    if slowed:
        return _("The board is {warm} °C warm and is slowed down.", warm=warm)
    return _("The board is {warm} °C warm.", warm=warm)


def throttled_words(reasons: Collection[Throttling]) -> str:
    """Why a board is slowed down: `too little voltage, it is too warm`; empty if it is not."""
    return ", ".join(_(THROTTLING_WORDS[reason]) for reason in Throttling if reason in reasons)


def put_off_share(work: Work) -> float:
    """Of all the looks that were wanted since the box began to judge a stream: those for which there was no time."""
    return work.looks_put_off / max(1, work.frames_judged + work.looks_put_off)


def key_frame_interval(interval_s: int | None) -> str:
    """How often a picture can begin, as far as that is known: `, a key frame every 17 s`."""
    return _(", a key frame every {interval_s} s", interval_s=interval_s) if interval_s and interval_s >= 1 else ""


def key_frame_advice(interval_s: int | None, health: Health, has_key: bool) -> str:
    """What a shorter key-frame interval would bring, and where it is set; empty where it is short, or not known."""
    if not interval_s or interval_s <= IDLE_KEY_INTERVAL_S:
        return ""
    advice = [_set_key_frames(has_key)] if interval_s > SENT_KEY_INTERVAL_S or not has_key else []
    if health.decoding_ms is not None and health.idle_ms is not None:
        saved = _(
            "With a key frame each second this picture would cost about {idle} instead of {now} ms of computing a"
            " second while nothing moves.",
            idle=f"{health.idle_ms:.0f}",
            now=f"{health.decoding_ms:.0f}",
        )
        advice.append(saved)
    return " ".join(advice)


def _set_key_frames(has_key: bool) -> str:
    if has_key:
        return _(
            "Set the key-frame interval to 2 s in OBS or the phone; then the picture is back at once after a break."
        )
    return _(
        "Set the key-frame interval to 1 s in the camera's settings; then the picture is back at once after a break."
    )


def health_notices(health: Health) -> list[str]:
    """What keeps a stream from being judged well, and what to do, a sentence or two each; empty when all is well."""
    notices, (too_small, looks) = [], _worth_a_word(health)
    if too_small is not None:
        notices.append(_("{share} of faces were too small: move the camera closer or zoom.", share=percent(too_small)))
    if looks is not None:
        notices.append(
            _(
                "This box has too many streams to look as often as it should: it makes {share} of the looks it wants."
                " Faster passers-by may be missed; give the box fewer streams, or a sub-stream to watch.",
                share=percent(looks),
            )
        )
    return notices


def health_marks(health: Health) -> list[str]:
    """The same in a few words each, for a list."""
    marks, (too_small, looks) = [], _worth_a_word(health)
    if too_small is not None:
        marks.append(_("{share} of faces too small", share=percent(too_small)))
    if looks is not None:
        marks.append(_("{share} of looks made", share=percent(looks)))
    return marks


def _worth_a_word(health: Health) -> tuple[float | None, float | None]:
    """The shares of faces too small and of looks made, 0 to 1; None where all is well or nothing is known."""
    too_small, looks = health.too_small, health.looks
    return (
        too_small if too_small is not None and too_small >= MANY_TOO_SMALL else None,
        looks if looks is not None and looks < FEW_LOOKS else None,
    )


def state_words(seen: Detection) -> str:
    """The state of somebody who passed, and why it is unknown, where that is known."""
    return _(TOO_SMALL if seen.too_small else STATE_WORDS[seen.state])


def judge_words(seen: Detection) -> str:
    """Which model judged, or who entered it."""
    if seen.model.startswith(BY_HAND):
        return _("by hand: {name}", name=seen.model.removeprefix(BY_HAND).strip())
    return seen.model


def kept(mode: ImageMode, keeping: Keeping, keep_days: int) -> str:
    """What is kept of a stream, and for how long. mode: what is in force; keep_days: of the box."""
    detections = keeping.detections_days
    if mode is ImageMode.NO_IMAGES:
        if detections:
            return _("no images; detections for {days}", days=_days(detections))
        return _("no images; detections until somebody deletes them")
    images = {"mode": _(MODE_WORDS[mode]), "image_days": _days(keeping.days(keep_days))}
    if detections:
        return _("images ({mode}) for {image_days}, detections for {days}", **images, days=_days(detections))
    return _("images ({mode}) for {image_days}, detections until somebody deletes them", **images)


def receipt_title(receipt: Receipt) -> str:
    """What a receipt is about."""
    titles = {
        Kind.STREAM: N_("The stream {name}"),
        Kind.IMAGES: N_("All images of {name}"),
        Kind.PERSON: N_("The person {name}"),
    }
    if receipt.kind in titles:
        return _(titles[receipt.kind], name=receipt.title)
    return capitalised(told_as(receipt.title, "receipt", STATISTICS_TITLE, DETECTION_TITLE))


def unbroken(when: str) -> str:
    """The time of a step, which breaks only between its day and its hours; one that has no hours as it is."""
    day, comma, hours = when.rpartition(", ")
    return f"{day.replace(' ', NO_BREAK)}{comma}{hours.replace(' ', NO_BREAK)}" if comma else when


def capitalised(text: str) -> str:
    """The same as the beginning of a line."""
    return text[:1].upper() + text[1:]


def weekday_short_of(weekday: int) -> str:
    """Mon. weekday: 0 is Monday."""
    return weekday_short(date(2024, 1, 1 + weekday))  # that year began on a Monday


def amount_of(receipt: Receipt) -> str:
    """How much was deleted, as it stands on a receipt."""
    return _("the account, with sessions and tokens") if receipt.kind is Kind.PERSON else amount(receipt.deleted)


def amount(deleted: Deleted) -> str:
    """How much was deleted: `1 detection, 1 image (12 kB)`."""
    detections = n_("{n} detection", "{n} detections", deleted.detections)
    if not deleted.images:
        return _("{detections}, no image", detections=detections)
    return n_(
        "{detections}, {n} image ({size})",
        "{detections}, {n} images ({size})",
        deleted.images,
        detections=detections,
        size=size_words(deleted.image_bytes),
    )


def _days(days: int) -> str:
    return n_("{n} day", "{n} days", days)


def corrected_words(found: StoredDetection) -> str:
    """Behind a state, who said so and what the box had judged: `, as ann says; the box judged: Mask`; empty: nobody."""
    if not found.edited_by:
        return ""
    if found.judged_state is None:
        return _(", corrected by {name}", name=found.edited_by)
    if found.judged_state is found.detection.state:
        return _(", confirmed by {name}", name=found.edited_by)
    state = _(STATE_WORDS[found.judged_state])
    return _(", corrected by {name}; the box had judged: {state}", name=found.edited_by, state=state)


def error_words(wrong: Rate) -> str:
    """A small share with its interval: `12 of 340 persons (3.5 %, 2.0 to 6.1 %)`."""
    persons = round(wrong.value * wrong.n)
    return n_(
        "{wrong} of {n} persons ({rate} %, {low} to {high} %)",
        "{wrong} of {n} persons ({rate} %, {low} to {high} %)",
        wrong.n,
        wrong=number(persons),
        rate=decimal(100 * wrong.value),
        low=decimal(100 * wrong.low),
        high=decimal(100 * wrong.high),
    )


def share_words(share: Share) -> str:
    """A share that was estimated by labels: `96 % (88 to 99 %)`."""
    return _(
        "{share} ({low} to {high})", share=percent(share.value), low=f"{100 * share.low:.0f}", high=percent(share.high)
    )


def changes_words(changes: Collection[Change]) -> str:
    """Why a calibration does not hold any more: `another model judges, and the zones were changed`."""
    words = [_(CHANGE_WORDS[change]) for change in changes]
    said = words[0] if words else ""
    for word in words[1:]:
        said = _("{first}, and {second}", first=said, second=word)
    return said


def calibration_words(calibrated: Calibrated | None) -> str:
    """How a camera is calibrated, in a few words."""
    if calibrated is None:
        return _("not calibrated: how the box errs here is not known")
    if calibrated.errors is None:
        return _("too few faces were labelled to tell how the box errs here")
    if calibrated.changes:
        return _("does not hold any more: {changes}", changes=changes_words(calibrated.changes))
    return _(
        "of those with a mask the box says so of {sensitivity}; of all others it does not of {specificity}",
        sensitivity=share_words(calibrated.errors.sensitivity),
        specificity=share_words(calibrated.errors.specificity),
    )
