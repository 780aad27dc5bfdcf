"""The page on exports: what can be had, and what each column means, from appliance/exports."""

from __future__ import annotations

from appliance.exports.columns import DETECTIONS, IMAGE_FILE, SUMS, SUMS_OF_BOXES, Table
from appliance.exports.faces import UNSURE_BELOW, VAL_EACH

BEFORE = """
# Export

Detections and their sums as files for other programs: from the page *Detections*, *Export*; from the
[JSON API](api.md#get-apiv1exportdetections); and from a terminal of the box:

```
mb9k export detections --since 2026-11-01 --format sqlite --output november.sqlite
mb9k export sums --step day > days.csv
mb9k export detections --stream ann:door --format zip --output door.zip
```

A file is made while it is sent, so its size costs no memory. It holds what the record holds while it is made: whoever
passes meanwhile may be in it or not.

| format | what it is |
| --- | --- |
| `csv` | UTF-8, RFC 4180, the names of the columns in its first line |
| `jsonl` | JSON lines: an object a line, every column in each; what is empty is `null` |
| `sqlite` | a SQLite file, with indexes; Datasette opens it |
| `zip` | of detections: `detections.csv`, and the images in `images/` |

In CSV, text that a spreadsheet would take for a formula has an apostrophe before it. In a SQLite file the table
`columns` says what this page says, and `about` what was asked for.

A ZIP has images of your own streams, for an admin of all: who may look at others one by one may not take all of them
along. It is not on the disk of the box at any time. For each image some 70 bytes are kept in memory until it ends.

Times are UTC, and once more by the clocks of the box's time zone, which each row names. Sums are cut in that zone; an
hour that its clocks show twice is two rows, told apart by their offsets.
"""
AFTER = f"""
## Faces to learn from

`mb9k export faces --output faces.zip`, or *Faces to learn from* on the page, has images to train the model with, where
images are kept. Unpacked, it is a folder for `python -m models.training.train --data`
([models/README.md](../models/README.md)):

| file | what it is |
| --- | --- |
| `images/train/`, `images/val/` | the images as they are stored; those of every {VAL_EACH}th hour are `val` |
| `annotations_harmonised/train.json`, `val.json` | COCO: where the face is in its image, and its state |

A face that a person corrected has that state (`mask`, `no_mask`, `incorrect`). A face that the model was unsure of,
unknown though large enough, or with less than {100 * UNSURE_BELOW:.0f} % of the votes, has the category `to_label` and
counts neither way (`iscrowd`) until somebody gives it one of the three and `iscrowd` 0. All of an image but its face
counts neither way, too (`ignore_regions`): others may be in it whom nobody marked. Faces of one stream and hour are one
`group`. An image that does not fit its row any more is left out: the person was seen better after it was taken. Of few
hours `val` may be empty, with which no training begins: take a longer time, or pictures of your own beside them.

The eyes are pixelated in them, unless the stream is kept otherwise. A model that learns from such images alone learns
that, too: add them to others.

## A backup

An admin saves a backup of the whole record on the same page: what [`mb9k backup`](cli.md#mb9k-backup) writes, without
images. `mb9k restore FILE` puts it back, also one that an older version made.
"""


OF_CENTRE = """
A centre hands on the sums of its boxes: from its page *Compare*, *Export*; from its
[JSON API](central-api.md#get-apiv1exportsums); and with `mb9k central export`. Analysts have those of their sites.
There are minutes, too, for as long as the centre keeps them.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return (
        BEFORE
        + _dictionary(DETECTIONS.plus(IMAGE_FILE))
        + _dictionary(SUMS)
        + _dictionary(SUMS_OF_BOXES, "Sums of a centre", OF_CENTRE)
        + AFTER
    )


def _dictionary(table: Table, title: str = "", more: str = "") -> str:
    text = f"\n## {title or table.name.capitalize()}\n\n{table.about}\n{more}\n"
    text += "| column | type | unit | meaning |\n| --- | --- | --- | --- |\n"
    for column in table.columns:
        text += f"| `{column.name}` | {column.kind} | {column.unit} | {column.meaning} |\n"
    return text
