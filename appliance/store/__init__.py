"""What the box remembers: one SQLite file, and every SQL statement of the box as a named method."""

from appliance.store.ages import BoxClock, ImageDay, WallClock
from appliance.store.crossings import Crossed, CrossedBucket
from appliance.store.database import Store, StoreError, explain_trouble
from appliance.store.detections import StoredDetection, StoredImage
from appliance.store.filters import DetectionFilter
from appliance.store.fleet import CommandRecord, FleetStatus
from appliance.store.heartbeat import Heartbeat
from appliance.store.pictures import PictureKind, StoredPicture
from appliance.store.receipts import Deleted, Kind, Receipt
from appliance.store.services import ServiceStatus
from appliance.store.stream_rows import Stream
from appliance.store.streams import Refusal, Source
from appliance.store.summaries import Backlog, EpochState
from appliance.store.summaries_schema import BY_HAND
from appliance.store.trends import Bucket, Step
from appliance.store.views import StoredView

__all__ = [
    "BY_HAND",
    "Backlog",
    "BoxClock",
    "Bucket",
    "CommandRecord",
    "Crossed",
    "CrossedBucket",
    "Deleted",
    "DetectionFilter",
    "EpochState",
    "FleetStatus",
    "Heartbeat",
    "ImageDay",
    "Kind",
    "PictureKind",
    "Receipt",
    "Refusal",
    "ServiceStatus",
    "Source",
    "Step",
    "Store",
    "StoreError",
    "StoredDetection",
    "StoredImage",
    "StoredPicture",
    "StoredView",
    "Stream",
    "WallClock",
    "explain_trouble",
]
