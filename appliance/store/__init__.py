"""What the box remembers: one SQLite file, and every SQL statement of the box as a named method."""

from appliance.accounts.people import Person, Role, Session, Token
from appliance.store.database import Store, StoreError
from appliance.store.detections import DetectionFilter, StoredDetection, StoredImage
from appliance.store.heartbeat import Heartbeat
from appliance.store.services import Service
from appliance.store.streams import Refusal, Stream

__all__ = [
    "DetectionFilter",
    "Heartbeat",
    "Person",
    "Refusal",
    "Role",
    "Service",
    "Session",
    "Store",
    "StoreError",
    "StoredDetection",
    "StoredImage",
    "Stream",
    "Token",
]
