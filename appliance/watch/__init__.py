"""The service that watches: who is sending, who is seen, and what is kept of it."""

from appliance.watch.service import serve

__all__ = ["serve"]
