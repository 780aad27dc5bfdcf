"""`mb9k check`: whether what the box remembers is whole."""

from __future__ import annotations

from appliance.config import Config
from appliance.images import ImageFiles, Place
from appliance.store import Store, StoreError


def problems(config: Config) -> list[str]:
    """What is wrong with the store and its images, a sentence each; empty when all is well."""
    try:
        store = Store.open_readonly(config.store_path)
    except StoreError as error:
        return [str(error)]
    found = store.problems()
    if found:
        return found
    images = ImageFiles(config.images_dir)
    lost = [
        image
        for image in store.detections.all_images()
        if images.read(Place(image.day, image.offset, image.size_bytes)) is None
    ]
    if lost:
        days = ", ".join(sorted({image.day for image in lost}))
        found.append(f"{len(lost)} images cannot be read (days {days}); their detections are still counted")
    return found
