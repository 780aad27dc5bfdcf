"""What a box shows on a screen of its own, and on a serial console. See README.md."""

from appliance.screen.service import serve, text

__all__ = ["serve", "text"]
