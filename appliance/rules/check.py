"""`mb9k check`: whether what the box remembers is whole and by the rules, and what to do if it is not."""

from __future__ import annotations

from collections.abc import Callable

from appliance.config import Config
from appliance.errors import InputError
from appliance.images import ImageFiles
from appliance.names import person_name, stream_name
from appliance.rules.sources import clean_source, shown
from appliance.store import Store, StoreError
from appliance.times import now


def problems(config: Config) -> list[str]:
    """What is wrong with the store and its images and what to do, a line each; empty when all is well."""
    path = config.store_path
    rescue = (
        f"stop the box, copy {path.parent} to a safe place, then save what can be read:"
        f" sqlite3 {path} .recover | sqlite3 {path.with_suffix('.saved.db')}"
    )
    try:
        store = Store.open_readonly(path)
        found = store.problems()
        if any(problem.startswith("damaged") for problem in found):
            return [*found, rescue]
        if any(problem.startswith("migration") for problem in found):
            return found  # the rules read the tables as they will be
        found += broken_rules(store)
        images = store.detections.all_images()
    except StoreError as error:
        return [str(error), rescue]
    files = ImageFiles(config.images_dir)
    lost = [image for image in images if files.read(image) is None]
    if lost:
        days = ", ".join(sorted({image.day for image in lost}))
        found.append(
            f"{len(lost)} images cannot be read (days {days}); their detections are kept, nothing need be done"
        )
    return found


def broken_rules(store: Store) -> list[str]:
    """The people and streams that no rule would let in today, as an earlier version may have; a line each."""
    try:
        found = [
            f"the person {person.name!r}: {reason} Add them again under another name, give them these streams, and"
            " remove this one (page People)."
            for person in store.people.all()
            if (reason := _refusal(person_name, person.name))
        ]
    except ValueError as error:  # SQLite verifies no CHECK constraint of a file that is opened for reading only
        found = [f"a person has no role that there is ({error}); set it in the table people to data_scientist"]
    for stream in store.streams.all(now()):
        if reason := _refusal(stream_name, stream.name):
            found.append(f"the stream {stream.title!r}: {reason} Rename it on /streams/{stream.id}/edit.")
        source = stream.source_url
        if source is not None and (reason := _refusal(lambda text: clean_source(text, by_admin=True), source)):
            found.append(
                f"the source {shown(source)!r} of {stream.title!r}: {reason} Change it on /streams/{stream.id}/edit."
            )
    return found


def _refusal(rule: Callable[[str], str], text: str) -> str | None:
    try:
        return None if rule(text) == text else "It is not written as the rules would store it."
    except InputError as error:
        return str(error)
