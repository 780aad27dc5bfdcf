"""What stands in the audit, as people read it."""

from __future__ import annotations

from appliance.accounts.audit import Action
from appliance.language import N_, _

_WORDS = {
    Action.CLAIMED: N_("Claimed"),
    Action.SIGNED_IN: N_("Signed in"),
    Action.SIGN_IN_FAILED: N_("Sign in failed"),
    Action.PASSWORD_WRONG: N_("Password wrong"),
    Action.SIGNED_OUT: N_("Signed out"),
    Action.REFUSED: N_("Refused"),
    Action.PERSON_ADDED: N_("Person added"),
    Action.ROLE_CHANGED: N_("Role changed"),
    Action.PASSWORD_CHANGED: N_("Password changed"),
    Action.PERSON_REMOVED: N_("Person removed"),
    Action.TOKEN_MADE: N_("Token made"),
    Action.TOKEN_REVOKED: N_("Token revoked"),
    Action.STREAM_ADDED: N_("Stream added"),
    Action.STREAM_CHANGED: N_("Stream changed"),
    Action.ZONES_CHANGED: N_("Zones changed"),
    Action.KEY_CHANGED: N_("Key changed"),
    Action.STREAM_DELETED: N_("Stream deleted"),
    Action.DETECTION_ENTERED: N_("Detection entered"),
    Action.DETECTION_CORRECTED: N_("Detection corrected"),
    Action.DETECTION_REVIEWED: N_("Detection reviewed"),
    Action.REVIEW_TAKEN_BACK: N_("Review taken back"),
    Action.DETECTION_DELETED: N_("Detection deleted"),
    Action.CALIBRATION_BEGUN: N_("Calibration begun"),
    Action.FACE_LABELLED: N_("Face labelled"),
    Action.LABEL_TAKEN_BACK: N_("Label taken back"),
    Action.CALIBRATION_FORGOTTEN: N_("Calibration forgotten"),
    Action.IMAGES_VIEWED: N_("Images viewed"),
    Action.IMAGE_DOWNLOADED: N_("Image downloaded"),
    Action.PREVIEW_WATCHED: N_("Preview watched"),
    Action.IMAGES_DELETED: N_("Images deleted"),
    Action.STATISTICS_ONLY: N_("Statistics only"),
    Action.DETECTIONS_KEPT: N_("Detections kept"),
    Action.IMAGES_FORGOTTEN: N_("Images forgotten"),
    Action.FORGOTTEN: N_("Forgotten"),
    Action.EXPORTED: N_("Exported"),
    Action.DOWNLOADED: N_("Downloaded"),
    Action.REPORT_SCHEDULED: N_("Report scheduled"),
    Action.REPORT_CHANGED: N_("Report changed"),
    Action.REPORT_REMOVED: N_("Report removed"),
    Action.REPORT_SENT: N_("Report sent"),
    Action.COMMAND: N_("Command"),
    Action.CENTRE_JOINED: N_("Centre joined"),
    Action.CENTRE_LEFT: N_("Centre left"),
    Action.CLOCK_CONFIRMED: N_("Clock confirmed"),
    Action.ALERT_RULE_ADDED: N_("Alert rule added"),
    Action.ALERT_RULE_CHANGED: N_("Alert rule changed"),
    Action.ALERT_RULE_REMOVED: N_("Alert rule removed"),
    Action.RECIPIENT_ADDED: N_("Recipient added"),
    Action.RECIPIENT_CHANGED: N_("Recipient changed"),
    Action.RECIPIENT_REMOVED: N_("Recipient removed"),
    Action.RECIPIENT_TESTED: N_("Recipient tested"),
    Action.QUIET_HOURS_CHANGED: N_("Quiet hours changed"),
    Action.MAIL_SERVER_CHANGED: N_("Mail server changed"),
    Action.SUMS_REPAIRED: N_("Sums repaired"),
    Action.CHANGED: N_("Changed"),
    Action.RESTORED: N_("Restored"),
    Action.BEGUN: N_("Begun"),
    Action.DROPPED: N_("Dropped"),
}


def words_of(action: str) -> str:
    """An action as people read it, also one that a newer version recorded."""
    try:
        return _(_WORDS[Action(action)])
    except ValueError:
        return action.replace("_", " ").capitalize()
