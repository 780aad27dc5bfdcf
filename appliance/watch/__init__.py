"""The service that watches: who publishes, who is seen, and what is recorded of it."""

from appliance.watch.service import serve

__all__ = ["serve"]
