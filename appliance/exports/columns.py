"""What an export holds: each column with its unit and its meaning. docs/export.md is made from this."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.language import N_


@dataclass(frozen=True, slots=True)
class Column:
    """One column. kind: integer, real or text, as SQLite has it. free_text: people chose what stands in it."""

    name: str
    kind: str
    unit: str
    meaning: str
    free_text: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A kind of row. key: its first column says which row it is. indexes: what people look for in a SQLite file."""

    name: str
    about: str
    columns: tuple[Column, ...]
    key: bool = False
    indexes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    def plus(self, *columns: Column) -> Table:
        """The same with more columns at its end."""
        return Table(self.name, self.about, (*self.columns, *columns), self.key, self.indexes)


_STREAM_ID = Column("stream_id", "integer", "", N_("which stream"))
_STREAM = Column("stream", "text", "", N_("its owner and name, owner:name"), free_text=True)
_ZONE = Column("time_zone", "text", "", N_("the zone of the local times, as the IANA names it"))
_UTC, _LOCAL = "UTC, ISO 8601", N_("local, ISO 8601 with its offset")

DETECTIONS = Table(
    N_("detections"),
    N_("One row per person who passed a camera; by stream, then by first seen."),
    (
        Column("detection_id", "integer", "", N_("which detection; ids rise in the order of arrival")),
        _STREAM_ID,
        _STREAM,
        Column("first_seen_utc", "text", _UTC, N_("when the person was first seen")),
        Column("last_seen_utc", "text", _UTC, N_("when the person was last seen")),
        Column("first_seen_local", "text", _LOCAL, N_("first_seen_utc in time_zone")),
        _ZONE,
        Column("state", "text", "", N_("`mask`, `no_mask`, `incorrect` (worn wrongly) or `unknown`")),
        Column("unknown_reason", "text", "", N_(
"`too_small`: too few pixels to judge; empty: another reason, or state")),
        Column("confidence_ratio", "real", N_("0 to 1"), N_("the share of the votes that the state has")),
        Column("votes_faces", "integer", N_("faces"), N_("how many faces voted; 0: entered by hand")),
        Column("bbox_left_px", "real", "px", N_("where the face was at its best moment, from the left of the frame")),
        Column("bbox_top_px", "real", "px", N_("the same from the top of the frame")),
        Column("bbox_right_px", "real", "px", N_("its right edge, from the left of the frame")),
        Column("bbox_bottom_px", "real", "px", N_("its lower edge, from the top of the frame")),
        Column("frame_width_px", "integer", "px", N_("how wide the frame is that the bbox is measured in")),
        Column("frame_height_px", "integer", "px", N_("how high it is")),
        Column("model", "text", "", N_("the model that judged, or `by hand:` and who entered it"), free_text=True),
        Column("edited_by", "text", "", N_("who said what the state is; empty: nobody did"), free_text=True),
        Column("judged_state", "text", "", N_("what the box had judged, of whom edited_by is set; empty: not known")),
        Column("image_bytes", "integer", N_("bytes"), N_("how large the stored image is; empty: there is none")),
    ),
    key=True,
    indexes=("first_seen_utc", "stream_id", "state"),
)  # fmt: skip

IMAGE_FILE = Column("image_file", "text", "", N_("of a ZIP: the file with the image; empty: none is in it"))

COUNTED = (
    Column("mask_persons", "integer", N_("persons"), N_("first seen in it, the mask worn")),
    Column("no_mask_persons", "integer", N_("persons"), N_("the same, no mask worn")),
    Column("incorrect_persons", "integer", N_("persons"), N_("the same, the mask worn wrongly")),
    Column("unknown_persons", "integer", N_("persons"), N_("the same, of whom the box could not say; in no rate")),
    Column(
        "compliance_ratio", "real", N_("0 to 1"), N_("mask / (mask + no_mask + incorrect); empty: nobody was judged")
    ),
    Column("compliance_low_ratio", "real", N_("0 to 1"), N_("the lower end of its 95 % interval (Wilson 1927)")),
    Column("compliance_high_ratio", "real", N_("0 to 1"), N_("the upper end")),
)
"""Persons of a time by state, and their rate."""

SUMS = Table(
    N_("sums"),
    N_(
        "One row per stream and quarter of an hour, hour or day in which the stream was watched or somebody was"
        " counted."
    ),
    (
        _STREAM_ID,
        _STREAM,
        Column("start_utc", "text", _UTC, N_("when it begins")),
        Column(
            "end_utc", "text", _UTC, N_("when the next one begins; a day has 23 or 25 hours where the clocks change")
        ),
        Column("start_local", "text", _LOCAL, N_("start_utc in time_zone, in which hours and days are cut")),
        _ZONE,
        Column("watched_s", "integer", "s", N_("for how long the stream was LIVE and judged")),
        *COUNTED,
        Column(
            "corrected_ratio", "real", N_("0 to 1"), N_("compliance without the camera's errors; empty: not calibrated")
        ),
        Column(
            "corrected_low_ratio", "real", N_("0 to 1"), N_("the lower end of its 95 % interval (see calibration.md)")
        ),
        Column("corrected_high_ratio", "real", N_("0 to 1"), N_("the upper end")),
        Column(
            "wrong_persons",
            "integer",
            N_("persons"),
            N_("whom the box judged and a person said to be of another state"),
        ),
    ),
    indexes=("start_utc", "stream_id"),
)

SUMS_OF_BOXES = Table(
    N_("sums"),
    N_("One row per stream and minute, hour or day of which a box told something; by stream, then by time."),
    (
        Column("stream_id", "integer", "", N_("which stream, by the number that the centre gave it")),
        Column("site", "text", "", N_("the site where its box stands now; empty: none"), free_text=True),
        Column("box", "text", "", N_("the id of its box")),
        Column("box_title", "text", "", N_("what people call the box; empty: by its id"), free_text=True),
        Column("stream_number", "integer", "", N_("which stream of the box")),
        Column(
            "stream", "text", "", N_("what the box calls it; empty: the box keeps its names to itself"), free_text=True
        ),
        Column("start_utc", "text", _UTC, N_("when it begins")),
        Column(
            "end_utc", "text", _UTC, N_("when the next one begins; a day has 23 or 25 hours where the clocks change")
        ),
        Column("start_local", "text", _LOCAL, N_("start_utc in time_zone, in which days are cut")),
        _ZONE,
        Column("watched_s", "integer", "s", N_("for how long the stream was LIVE and judged")),
        *COUNTED,
        Column("unverified_minutes", "integer", N_("minutes"), N_("how many of its minutes no clock had vouched for")),
    ),
    indexes=("start_utc", "stream_id", "box"),
)
"""Of a centre."""
