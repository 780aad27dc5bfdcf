"""What entries of the audit are about, where a program says so: in English on record, and told again on the page.

Whoever adds an entry writes its subject by one of these, so that whoever shows it finds it again. A subject that a
person has typed (a name, an address) is found by none, and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from appliance.accounts.audit import ENTRIES, Action
from appliance.language import NN_, P_, p_
from appliance.retold import told_as

STREAM = P_("audit", "stream {id} ({title})")
DETECTION = P_("audit", "detection {id}")
DETECTIONS = NN_("{n} detection", "{n} detections")
IMAGES = NN_("{n} image", "{n} images")
STREAMS = NN_("{n} stream", "{n} streams")
IMAGES_OF = P_("audit", "images of {day}")
THE_BOX = P_("audit", "the box")
REPORT = P_("audit", "report {id}")
TOKEN_OF = P_("audit", "{name} of {owner}")
METRICS = P_("audit", "for /metrics")
MAIL_SERVER = P_("audit", "the mail server")
NOBODY = P_("audit", "a name that nobody has")
NONE = P_("audit", "none")
QUIET = P_("audit", "{since} to {until}")
COPY = P_("audit", "copy of the record")
BUNDLE = P_("audit", "bundle for support")
OLDER_COPY = P_("audit", "an older copy of the database")
EMPTY_RECORD = P_("audit", "an empty record")
SUMS = P_("audit", "sums")
EXPORTED = (P_("audit", "detections"), SUMS, P_("audit", "faces"))
COMMANDS = (
    P_("audit", "restart"),
    P_("audit", "send_again"),
    P_("audit", "rotate_key"),
    P_("audit", "identify"),
    P_("audit", "update"),
)
EACH_BOX_OF = P_("audit", "each box of {site}")
WATCHED = (
    P_("audit", "this box"),
    P_("audit", "this centre"),
    P_("audit", "each stream"),
    P_("audit", "each box"),
    P_("audit", "all streams together"),
    P_("audit", "all boxes together"),
    EACH_BOX_OF,
    P_("audit", "stream {id}"),
    P_("audit", "site {id}"),
    P_("audit", "box {name}"),
    P_("audit", "service {name}"),
)
"""What rules of alerts are about, beside what has a name of its own."""

_OF_STREAMS = (
    Action.STREAM_ADDED,
    Action.STREAM_CHANGED,
    Action.ZONES_CHANGED,
    Action.KEY_CHANGED,
    Action.STREAM_DELETED,
    Action.IMAGES_DELETED,
    Action.FORGOTTEN,
)
_OF_DETECTIONS = (
    Action.DETECTION_ENTERED,
    Action.DETECTION_CORRECTED,
    Action.DETECTION_REVIEWED,
    Action.REVIEW_TAKEN_BACK,
    Action.DETECTION_DELETED,
    Action.FACE_LABELLED,
    Action.LABEL_TAKEN_BACK,
)
_OF_REPORTS = (Action.REPORT_SCHEDULED, Action.REPORT_CHANGED, Action.REPORT_REMOVED, Action.REPORT_SENT)
_OF_RULES = (Action.ALERT_RULE_ADDED, Action.ALERT_RULE_CHANGED, Action.ALERT_RULE_REMOVED)
SUBJECTS: Mapping[Action, tuple[str | tuple[str, str], ...]] = {
    **dict.fromkeys(_OF_STREAMS, (STREAM,)),
    **dict.fromkeys(_OF_DETECTIONS, (DETECTION, DETECTIONS)),
    **dict.fromkeys(_OF_REPORTS, (REPORT,)),
    **dict.fromkeys(_OF_RULES, WATCHED),
    Action.SIGN_IN_FAILED: (NOBODY,),
    Action.TOKEN_MADE: (METRICS,),
    Action.TOKEN_REVOKED: (METRICS, TOKEN_OF),
    Action.IMAGES_VIEWED: (IMAGES,),
    Action.IMAGE_DOWNLOADED: (IMAGES,),
    Action.PREVIEW_WATCHED: (STREAMS, STREAM),
    Action.STATISTICS_ONLY: (THE_BOX,),
    Action.DETECTIONS_KEPT: (THE_BOX,),
    Action.IMAGES_FORGOTTEN: (IMAGES_OF,),
    Action.EXPORTED: EXPORTED,
    Action.DOWNLOADED: (COPY, BUNDLE),
    Action.COMMAND: COMMANDS,
    Action.RECIPIENT_TESTED: (MAIL_SERVER,),
    Action.QUIET_HOURS_CHANGED: (NONE, QUIET),
    Action.MAIL_SERVER_CHANGED: (NONE,),
    Action.RESTORED: (OLDER_COPY,),
    Action.BEGUN: (EMPTY_RECORD,),
    Action.DROPPED: (ENTRIES,),
}
"""By what was done; of an action that is not here the subject is a name, a route, or nothing."""

ROUTES: Mapping[str, str] = {
    "POST /add-box": P_("audit", "a join code was made"),
    "POST /add-box/<join_id:int>/withdraw": P_("audit", "a join code was withdrawn"),
    "POST /boxes/<box_id>/edit": P_("audit", "name, site or note of a box"),
    "POST /boxes/<box_id>/commands": P_("audit", "a command for a box"),
    "POST /boxes/<box_id>/revoke": P_("audit", "a box was revoked"),
    "POST /people/<person_id:int>/sites": P_("audit", "the sites that somebody sees"),
    "POST /sites": P_("audit", "a site was added"),
    "POST /sites/<site_id:int>/edit": P_("audit", "name, group or place of a site"),
    "POST /sites/<site_id:int>/update": P_("audit", "an update for all boxes of a site"),
    "POST /sites/<site_id:int>/remove": P_("audit", "a site was removed"),
    "POST /reports/<schedule_id:int>/send": P_("audit", "a report, to be sent at once"),
    "POST /fleet/broker": P_("audit", "the broker on site"),
    "POST /fleet/broker/remove": P_("audit", "no broker on site any more"),
    "POST /fleet/updates": P_("audit", "whether the centre may update the box"),
    "POST /settings/title": P_("audit", "the name of the box"),
    "POST /settings/screen": P_("audit", "whether the screen shows counts"),
    "POST /settings/certificate": P_("audit", "a certificate was given to the box"),
    "POST /settings/certificate/own": P_("audit", "the box shows its own certificate again"),
    "POST /settings/host": P_("audit", "the name of the machine in the network"),
    "POST /settings/time-zone": P_("audit", "the time zone"),
    "POST /settings/wifi": P_("audit", "the Wi-Fi"),
    "POST /settings/ssh": P_("audit", "whether SSH is on"),
    "POST /settings/ssh/add": P_("audit", "an SSH key was added"),
    "POST /settings/ssh/remove": P_("audit", "an SSH key was removed"),
    "POST /settings/restart": P_("audit", "the services were restarted"),
    "POST /settings/restart-machine": P_("audit", "the machine was restarted"),
    "POST /settings/shut-down": P_("audit", "the machine was switched off"),
    "POST /settings/reset": P_("audit", "factory reset"),
    "POST /updates/upload/<_ticket>": P_("audit", "an update was uploaded"),
    "POST /api/v1/updates/upload": P_("audit", "an update was uploaded"),
    "POST /updates/fetch": P_("audit", "an update was fetched"),
    "POST /api/v1/updates/fetch": P_("audit", "an update was fetched"),
    "POST /updates/fetch/stop": P_("audit", "the fetching of an update was ended"),
    "DELETE /api/v1/updates/fetch": P_("audit", "the fetching of an update was ended"),
    "POST /updates/forget": P_("audit", "an update was deleted"),
    "DELETE /api/v1/updates/upload": P_("audit", "an update was deleted"),
    "POST /updates/start": P_("audit", "an update was started"),
    "POST /api/v1/updates/start": P_("audit", "an update was started"),
    "POST /updates/back": P_("audit", "the release before was put back"),
    "POST /api/v1/updates/back": P_("audit", "the release before was put back"),
}
"""What was changed, by the route that stands on record. Of a centre's boxes Events tells which it was."""


def subject_words(action: str, subject: str, details: Mapping[str, Any]) -> str:
    """What an entry is about, in the language spoken. details: of the same entry."""
    if _is_typed(action, details):
        return subject
    if action == Action.CHANGED:
        route = re.sub("^POST /sites/[0-9]+/remove$", "POST /sites/<site_id:int>/remove", subject)
        return p_("audit", ROUTES[route]) if route in ROUTES else subject
    return told_as(subject, "audit", *_BY_VALUE.get(action, ()))


def _is_typed(action: str, details: Mapping[str, Any]) -> bool:
    """Whether it is a name that a person gave, also where a program's own words stand at other times.

    The entry says so: it has what only something with a name has. One of an earlier version may say nothing of it.
    """
    if action in _OF_RULES:  # of a site other rules than that of its rate are about each of its boxes
        return "box" in details or "stream" in details or ("site" in details and details.get("kind") == "rate")
    return (
        (action == Action.SIGN_IN_FAILED and "person_id" in details)
        or (action == Action.TOKEN_MADE and "days" in details)
        or (action == Action.RECIPIENT_TESTED and "where" not in details)
    )


_BY_VALUE = {action.value: marked for action, marked in SUBJECTS.items()}
