"""What may be done to a stream. `by` is who asks: a person, or OPERATOR, who may do what an admin may."""

from __future__ import annotations

from dataclasses import fields

from appliance.accounts.audit import Action
from appliance.accounts.audit_details import BY_THE_BOX, LEARN
from appliance.accounts.audit_subjects import STREAM
from appliance.accounts.people import Person, Role
from appliance.address import shown
from appliance.errors import InputError, NotAllowed, NotFound, about
from appliance.images import ImageFiles
from appliance.keeping import MAX_DAYS, ImageMode, Keeping
from appliance.language import N_, _
from appliance.names import stream_name
from appliance.previews import Previews
from appliance.rules import detections, people
from appliance.rules.sources import changed_credentials, clean_source, clean_watch, followed, refuse_pair, same_place
from appliance.secrets import digest, new_stream_key
from appliance.store import Kind, Store, Stream
from appliance.times import Now

OPERATOR = Person(0, "", Role.ADMIN, "", "")
"""Whoever works at the command line of the box itself: an admin without a name, who owns nothing."""


AS_THE_BOX = Keeping()
ALL_IDS = 2**63 - 1
AT_ONCE = 500  # detections in a transaction: others must not wait long
ERASURES_A_STEP = 30  # of a hundred images each: all of these detections'
NO_SUB_STREAM = N_("Only a stream that the box fetches has a sub-stream; leave it out.")


def find(store: Store, stream_id: int, now: Now) -> Stream:
    """The stream with this id. Raises NotFound."""
    stream = store.streams.get(stream_id, now)
    if stream is None:
        raise NotFound(_("There is no such stream, or no longer."))
    return stream


def add(
    store: Store,
    by: Person,
    owner: int | str,
    name: str,
    source: str | None,
    now: Now,
    known_key: str | None = None,
    source_user: str | None = None,
    source_password: str | None = None,
    watch: str | None = None,
    keeping: Keeping = AS_THE_BOX,
) -> tuple[Stream, str | None]:
    """Make a stream; with it the stream key to show this once, None if it has a source instead.

    owner: an id or a name. known_key: only for the demo, whose keys are known to everybody.
    source_user, source_password: of the camera, where its addresses do not have them.
    watch: the sub-stream of the source, a smaller picture in which the box watches for movement.
    keeping: what is kept of it, and for how long.
    Raises InputError, NotSaved.
    """
    name, owner_id = stream_name(name), _owner_id(store, by, owner)
    _check_keeping(by, keeping, AS_THE_BOX)
    if source is not None:
        credentials = (by.is_admin, source_user, source_password)
        source = clean_source(source, *credentials)
        watch = clean_watch(watch, source, *credentials) if watch else None
        with store.saving():
            stream_id = store.streams.add_with_source(owner_id, name, source, now.utc, watch)
            store.streams.set_keeping(stream_id, keeping)
            store.audit.add(Action.STREAM_ADDED, named(store, stream_id), source=shown(source))
        return find(store, stream_id, now), None
    if watch:
        raise InputError(_(NO_SUB_STREAM), "watch")
    key = known_key or new_stream_key()
    with store.saving():
        stream_id = store.streams.add_with_key(owner_id, name, digest(key), now.utc)
        store.streams.set_keeping(stream_id, keeping)
        store.audit.add(Action.STREAM_ADDED, named(store, stream_id))
    return find(store, stream_id, now), key


def change(
    store: Store,
    by: Person,
    stream: Stream,
    *,
    owner: int | str | None = None,
    name: str | None = None,
    source: str | None = None,
    active: bool | None = None,
    source_user: str | None = None,
    source_password: str | None = None,
    watch: str | None = None,
    keeping: Keeping | None = None,
) -> None:
    """Change what is not None, all of it or nothing. Raises InputError, NotSaved.

    source: pull it from there from now on; an old key ends. The present one as it is shown, without its secrets,
    means that it stays. source_user, source_password: of the camera; without source, of the present one.
    watch: the sub-stream; empty: there is none any more. It ends with its source, unless it is given, too.
    keeping: what is kept of it; what is past its time by that goes within the hour.
    """
    name = None if name is None else stream_name(name)
    owner_id = None if owner is None else _owner_id(store, by, owner)
    source = _new_source(by, stream, source, source_user, source_password)
    watch = _watch_after(by, stream, source, watch, source_user, source_password)
    if keeping is not None:
        _check_keeping(by, keeping, stream.keeping)
    with store.saving():
        if owner_id is not None:
            store.streams.give_to(stream.id, owner_id)
        if name is not None:
            store.streams.rename(stream.id, name)
        if source is not None:
            store.streams.set_source(stream.id, source)
            store.views.learn_again(stream.id)
        if source is not None or watch != stream.watch_url:
            store.streams.set_watch(stream.id, watch)
        if active is not None:
            store.streams.set_active(stream.id, active)
        if keeping is not None:
            store.streams.set_keeping(stream.id, keeping)
        changes = {
            "owner_id": owner_id if owner_id != stream.owner_id else None,
            "name": name if name != stream.name else None,
            "source": source and shown(source),
            "watch": shown(watch or "") if watch != stream.watch_url else None,
            "active": active,
            **_changes_of(keeping or stream.keeping, stream.keeping),
        }
        done = {field: value for field, value in changes.items() if value is not None}
        store.audit.add(Action.STREAM_CHANGED, named(store, stream.id), **done)


def _changes_of(keeping: Keeping, before: Keeping) -> dict[str, str | int]:
    """What of it is chosen otherwise now."""
    chosen = {field.name: (getattr(keeping, field.name), getattr(before, field.name)) for field in fields(Keeping)}
    return {name: new or BY_THE_BOX for name, (new, old) in chosen.items() if new != old}


def _check_keeping(by: Person, keeping: Keeping, before: Keeping) -> None:
    """Raises InputError, NotAllowed."""
    if keeping.images is ImageMode.FULL and before.images is not ImageMode.FULL and not by.is_admin:
        raise NotAllowed(
            _("Only an admin may have faces kept as they are; choose that eyes are pixelated, or no images."),
            "images",
        )
    if not _is_span(keeping.images_days):
        raise InputError(
            _("For how many days images are kept is a number from 1 to {most}, or nothing.", most=MAX_DAYS),
            "images_days",
        )
    if not _is_span(keeping.detections_days):
        raise InputError(
            _("For how many days detections are kept is a number from 1 to {most}, or nothing.", most=MAX_DAYS),
            "detections_days",
        )


def _is_span(days: int | None) -> bool:
    return days is None or 1 <= days <= MAX_DAYS


def rotate_key(store: Store, stream_id: int) -> str:
    """Give it a new key, to show this once; whoever publishes with the old one is cut off. Raises NotSaved."""
    key = new_stream_key()
    with store.saving():
        store.streams.set_key(stream_id, digest(key))
        store.audit.add(Action.KEY_CHANGED, named(store, stream_id))
    return key


def learn_view(store: Store, stream: Stream) -> None:
    """What the camera shows from now on is its view: the box learns it. Raises NotSaved."""
    with store.saving():
        store.views.learn_again(stream.id)
        store.audit.add(Action.STREAM_CHANGED, named(store, stream.id), view=LEARN)


def delete(store: Store, files: ImageFiles, previews: Previews, by: Person, stream: Stream, now: Now) -> int:
    """Delete a stream with its detections and their images. Of many, most go step by step: see `go_on_deleting`.

    For people it is gone at once. The id of the receipt. Raises NotSaved.
    """
    with store.saving():
        deleted = store.receipts.measure("stream_id = ?", stream.id)
        receipt_id = store.receipts.add(Kind.STREAM, stream.title, by.name, deleted, now.utc)
        told = {"detections": deleted.detections, "images": deleted.images, "receipt": receipt_id}
        store.audit.add(Action.STREAM_DELETED, named(store, stream.id), **told)
        if deleted.detections > AT_ONCE:
            store.deletions.begin(stream.id, receipt_id)
        else:
            _take_away(store, stream.id)
    detections.erase_some(store, files)
    previews.forget(stream.id)
    return receipt_id


def go_on_deleting(store: Store, files: ImageFiles) -> bool:
    """Take one step of the deletion that began first; whether there was one. Raises sqlite3.Error.

    Each step is whole by itself, so it does not matter who takes the next one, or when: whatever ended in between.
    """
    with store.writing():
        stream_id = store.deletions.oldest()
        if stream_id is None:
            return False
        if store.deletions.take(stream_id, AT_ONCE) < AT_ONCE:
            _take_away(store, stream_id)
    for _again in range(ERASURES_A_STEP):
        if not detections.erase_some(store, files):
            break
    return True


def _take_away(store: Store, stream_id: int) -> None:
    """The stream itself, with what is left of it."""
    store.without_row.count_out(stream_id)
    store.streams.remove(stream_id)


def delete_images(store: Store, files: ImageFiles, by: Person, stream: Stream, now: Now) -> int:
    """Erase all images of a stream; its detections stay. The id of the receipt. Raises NotSaved."""
    with store.saving():
        deleted = store.receipts.measure("stream_id = ? and image_day is not null", stream.id)
        receipt_id = store.receipts.add(Kind.IMAGES, stream.title, by.name, deleted, now.utc)
        told = {"images": deleted.images, "receipt": receipt_id}
        store.audit.add(Action.IMAGES_DELETED, named(store, stream.id), **told)
        store.detections.forget_images_of(stream.id, 0, ALL_IDS, ALL_IDS)
    detections.erase_some(store, files)
    return receipt_id


def named(store: Store, stream_id: int) -> str:
    """A stream as the audit knows it: its number, which is never given twice, and how it is called now."""
    return subject_of(stream_id, store.streams.title(stream_id))


def subject_of(stream_id: int, title: str) -> str:
    """The same, of a stream whose title is known."""
    return STREAM.format(id=stream_id, title=title)


def _new_source(
    by: Person, stream: Stream, source: str | None, source_user: str | None, source_password: str | None
) -> str | None:
    """The source to store instead of the present one; None: it stays. Raises InputError."""
    stored = stream.source_url
    if source is not None and (stored is None or source != shown(stored)):
        return clean_source(source, by.is_admin, source_user, source_password)
    if not source_user and not source_password:
        return None
    if stored is None:
        raise InputError(_("This stream is sent to the box with a key; it has no source with a user or a password."))
    return changed_credentials(stored, by.is_admin, source_user, source_password)


@about("watch")
def _watch_after(
    by: Person, stream: Stream, source: str | None, watch: str | None, user: str | None, password: str | None
) -> str | None:
    """The sub-stream as it is to be stored. source: the one to store; None: it stays. Raises InputError."""
    stored, before = stream.watch_url, stream.source_url
    main = source or before
    if main is None:
        if watch:
            raise InputError(_(NO_SUB_STREAM), "watch")
        return None
    if stored is not None and before is not None:
        stays = same_place(main, before) if watch is None else watch == shown(stored)
        if stays:
            refuse_pair(main, stored)
            if user or password:
                return changed_credentials(stored, by.is_admin, user, password)
            return followed(stored, before, main)
    return clean_watch(watch, main, by.is_admin, user, password) if watch else None


@about("owner")
def _owner_id(store: Store, by: Person, owner: int | str) -> int:
    """Whose stream it becomes. Raises NotAllowed before it tells who there is."""
    if by.is_admin:
        return (people.named(store, owner) if isinstance(owner, str) else people.find(store, owner)).id
    if owner not in (by.id, by.name):
        raise NotAllowed(_("Only an admin may give a stream to somebody else."))
    return by.id
