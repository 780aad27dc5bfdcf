"""The service that tells a centre what this box counted. See README.md."""

from appliance.sync.service import serve

__all__ = ["serve"]
