"""The service that raises alerts by the rules, and tells whoever is to be told. See README.md."""

from appliance.notify.service import serve

__all__ = ["serve"]
