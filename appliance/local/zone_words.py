"""What zones.js says, above the picture and to a screen reader: the view writes it into the page, translated."""

from __future__ import annotations

from appliance.language import N_

ZONE_WORDS = {
    "name-count": N_("Zone"),
    "name-never": N_("Never"),
    "name-line": N_("Line"),
    "legend": N_("Zone {number}"),
    "zone": N_("{kind}: {name}, {points} points"),
    "point": N_("Point {number} of {of} of {name}: {place}"),
    "point-role": N_("point"),
    "place": N_("{x} % across, {y} % down"),
    "begins": N_("{name} begins at {place}"),
    "undone": N_("Undone."),
    "redone": N_("Done again."),
    "remove": N_("Remove {name}"),
    "remove-zone": N_("Remove zone"),
    "remove-point": N_("Remove point"),
    "pairs": N_("Write {least} pairs of percent or more, such as 10,20 60,20 60,80."),
    "drawn": N_("{name} is drawn, not saved yet. Drag its points or use arrow keys; name it below."),
    "two-points": N_("A line has two points."),
    "most-points": N_("A zone has at most {most} points."),
    "new-point": N_("Point {number} of {of} is new."),
    "needs-points": N_("{name} needs its {least} points. Escape, then Delete removes all of it."),
    "points-left": N_("Removed. {left} points are left."),
    "removed": N_("{name} is removed. Undo brings it back."),
    "moved": N_("{name} is moved."),
    "draw-line": N_("Click where the line begins, then where it ends. Escape cancels."),
    "draw-corners": N_("Click the corners; click the first one again to finish. Escape cancels."),
    "too-few": N_("It needs {least} points."),
    "cancelled": N_("Nothing was drawn."),
    "exchanged": N_("In and out are exchanged."),
}
"""By the end of the name of their attribute; what stands in braces, the script fills in."""
