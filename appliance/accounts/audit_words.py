"""What was done, as people read it in the audit. An entry holds its action; only a page puts it into words."""

from __future__ import annotations

from appliance.language import N_, _

ACTIONS = {
    "claimed": N_("Claimed"),
    "signed_in": N_("Signed in"),
    "sign_in_failed": N_("Sign in failed"),
    "password_wrong": N_("Password wrong"),
    "signed_out": N_("Signed out"),
    "refused": N_("Refused"),
    "person_added": N_("Person added"),
    "role_changed": N_("Role changed"),
    "password_changed": N_("Password changed"),
    "person_removed": N_("Person removed"),
    "token_made": N_("Token made"),
    "token_revoked": N_("Token revoked"),
    "stream_added": N_("Stream added"),
    "stream_changed": N_("Stream changed"),
    "zones_changed": N_("Zones changed"),
    "key_changed": N_("Key changed"),
    "stream_deleted": N_("Stream deleted"),
    "detection_entered": N_("Detection entered"),
    "detection_corrected": N_("Detection corrected"),
    "detection_reviewed": N_("Detection reviewed"),
    "review_taken_back": N_("Review taken back"),
    "detection_deleted": N_("Detection deleted"),
    "calibration_begun": N_("Calibration begun"),
    "face_labelled": N_("Face labelled"),
    "label_taken_back": N_("Label taken back"),
    "calibration_forgotten": N_("Calibration forgotten"),
    "images_viewed": N_("Images viewed"),
    "image_downloaded": N_("Image downloaded"),
    "preview_watched": N_("Preview watched"),
    "images_deleted": N_("Images deleted"),
    "statistics_only": N_("Statistics only"),
    "detections_kept": N_("Detections kept"),
    "images_forgotten": N_("Images forgotten"),
    "forgotten": N_("Forgotten"),
    "exported": N_("Exported"),
    "downloaded": N_("Downloaded"),
    "report_scheduled": N_("Report scheduled"),
    "report_changed": N_("Report changed"),
    "report_removed": N_("Report removed"),
    "report_sent": N_("Report sent"),
    "command": N_("Command"),
    "centre_joined": N_("Centre joined"),
    "centre_left": N_("Centre left"),
    "clock_confirmed": N_("Clock confirmed"),
    "alert_rule_added": N_("Alert rule added"),
    "alert_rule_changed": N_("Alert rule changed"),
    "alert_rule_removed": N_("Alert rule removed"),
    "recipient_added": N_("Recipient added"),
    "recipient_changed": N_("Recipient changed"),
    "recipient_removed": N_("Recipient removed"),
    "recipient_tested": N_("Recipient tested"),
    "quiet_hours_changed": N_("Quiet hours changed"),
    "mail_server_changed": N_("Mail server changed"),
    "sums_repaired": N_("Sums repaired"),
    "changed": N_("Changed"),
    "restored": N_("Restored"),
    "begun": N_("Begun"),
    "dropped": N_("Dropped"),
}
"""By the action, as it is stored."""


def words_of(action: str) -> str:
    """An action as people read it, also one that a newer version recorded."""
    return _(ACTIONS[action]) if action in ACTIONS else action.replace("_", " ").capitalize()
