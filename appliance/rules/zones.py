"""Where people are counted in a stream's picture: whoever may edit the stream may draw its zones."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.accounts.audit import Action
from appliance.errors import NotFound
from appliance.rules import streams
from appliance.store import Store
from appliance.zones import Zone, checked


def put(store: Store, stream_id: int, zones: Sequence[Zone]) -> tuple[Zone, ...]:
    """A stream has these zones from now on, and no others; as they are stored. Raises InputError, NotSaved."""
    cleaned = checked(zones)
    with store.saving():
        change(store, stream_id, cleaned)
    return cleaned


def change(store: Store, stream_id: int, zones: Sequence[Zone]) -> None:
    """The same with zones that were checked, within the caller's transaction. Raises NotFound."""
    if stream_id not in store.streams.ids():
        raise NotFound("There is no such stream, or no longer.")
    before = store.zones.of(stream_id)
    if tuple(zones) == before:
        return
    store.zones.put(stream_id, zones)
    gone = [zone.name for zone in before if zone not in zones]
    new = [f"{zone.kind.value}: {zone.name}" for zone in zones if zone not in before]
    told = {"drawn": ", ".join(new), "removed": ", ".join(gone), "zones": len(zones)}
    store.audit.add(Action.ZONES_CHANGED, streams.named(store, stream_id), **told)
