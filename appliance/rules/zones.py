"""Where people are counted in a stream's picture: whoever may edit the stream may draw its zones."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.accounts.audit import Action
from appliance.errors import InputError, NotFound
from appliance.language import N_, _
from appliance.rules import streams
from appliance.secrets import digest
from appliance.store import Store
from appliance.zones import Zone, checked, encoded

CHANGED_MEANWHILE = N_(
    "Somebody else changed these zones meanwhile; save again to replace theirs, or open the page again."
)


def put(store: Store, stream_id: int, zones: Sequence[Zone], seen: str | None = None) -> tuple[Zone, ...]:
    """A stream has these zones from now on, and no others; as they are stored. Raises InputError, NotSaved.

    seen: the version (`version_of`) of those that the person began with; refused if there are others by now.
    """
    cleaned = checked(zones)
    with store.saving():
        if seen and seen != version_of(store.zones.of(stream_id)):
            raise InputError(_(CHANGED_MEANWHILE))
        change(store, stream_id, cleaned)
    return cleaned


def version_of(zones: Sequence[Zone]) -> str:
    """A short text that is another where the zones are."""
    return digest(encoded(zones))[:16]


def change(store: Store, stream_id: int, zones: Sequence[Zone]) -> None:
    """The same with zones that were checked, within the caller's transaction. Raises NotFound."""
    if stream_id not in store.streams.ids():
        raise NotFound(_("There is no such stream, or no longer."))
    before = store.zones.of(stream_id)
    if tuple(zones) == before:
        return
    store.zones.put(stream_id, zones)
    gone = [zone.name for zone in before if zone not in zones]
    new = [f"{zone.kind.value}: {zone.name}" for zone in zones if zone not in before]
    store.audit.add(Action.ZONES_CHANGED, streams.named(store, stream_id), drawn=new, removed=gone, zones=len(zones))
