"""`mb9k check`: whether what the box remembers is whole, and what to do if it is not."""

from __future__ import annotations

from appliance.config import Config
from appliance.images import ImageFiles, Place
from appliance.store import Store, StoreError


def problems(config: Config) -> list[str]:
    """What is wrong with the store and its images and what to do, a sentence each; empty when all is well."""
    path = config.store_path
    rescue = (
        f"stop the box, copy {path.parent} to a safe place, then save what can be read:"
        f" sqlite3 {path} .recover | sqlite3 {path.with_suffix('.saved.db')}"
    )
    try:
        store = Store.open_readonly(path)
        found = store.problems()
        damaged = [problem for problem in found if problem.startswith("damaged")]
        if damaged:
            return [*found, rescue]
        images = store.detections.all_images()
    except StoreError as error:
        return [str(error), rescue]
    files = ImageFiles(config.images_dir)
    lost = [image for image in images if files.read(Place(image.day, image.offset, image.size_bytes)) is None]
    if lost:
        days = ", ".join(sorted({image.day for image in lost}))
        found.append(
            f"{len(lost)} images cannot be read (days {days}); their detections are kept, nothing need be done"
        )
    return found
