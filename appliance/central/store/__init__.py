"""What the viewer asks and changes: every SQL statement of it, as named methods, alike in SQLite and PostgreSQL."""

from appliance.central.store.boxes import Box, Boxes, Stream
from appliance.central.store.centre import CentralStore, explain_trouble
from appliance.central.store.records import Command, Event, Letter, Records
from appliance.central.store.sites import Site, Sites
from appliance.central.store.sums import EVERYTHING, Scope, Span, Sums, Watched

__all__ = [
    "EVERYTHING",
    "Box",
    "Boxes",
    "CentralStore",
    "Command",
    "Event",
    "Letter",
    "Records",
    "Scope",
    "Site",
    "Sites",
    "Span",
    "Stream",
    "Sums",
    "Watched",
    "explain_trouble",
]
