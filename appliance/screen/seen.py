"""What a screen has to tell, as values."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.faces import Counts
from appliance.notes import Hotspot


@dataclass(frozen=True, slots=True)
class Seen:
    """A box as somebody who stands before it may see it.

    host: the machine's name, without .local. addresses: of its networks, those by which it is reached first.
    port: of the page. fingerprint: the sha-256 of its certificate, AB:CD:...; empty: it speaks plain HTTP, or has none
    yet. claim_code: empty once the box was claimed. is_ready: the site answers. starts: there is no record yet.
    problems: sentences.
    counts: of today, live: titles of streams; None: the screen is not to show them.
    wifi: what became of the Wi-Fi file. hotspot: the box's own, while it is on.
    """

    host: str
    addresses: tuple[str, ...] = ()
    https: bool = True
    port: int = 443
    fingerprint: str = ""
    claim_code: str = ""
    is_ready: bool = True
    starts: bool = False
    problems: tuple[str, ...] = ()
    counts: Counts | None = None
    live: tuple[str, ...] = ()
    wifi: str = ""
    hotspot: Hotspot | None = None

    def page(self, host: str) -> str:
        """Where the page is, under this name or address: https://192.168.1.20, without a path."""
        scheme, usual = ("https", 443) if self.https else ("http", 80)
        literal = f"[{host}]" if ":" in host else host
        return f"{scheme}://{literal}" + ("" if self.port == usual else f":{self.port}")

    def pages(self) -> list[str]:
        """Where people may open the page, the surest first: addresses need nothing else, names need mDNS."""
        return [self.page(host) for host in (*self.addresses, f"{self.host}.local")]

    def claim_address(self) -> str:
        """What the QR code opens: the page where a box is claimed, with the code filled in; empty: there is none.

        The code stands behind #, which no browser sends: it is in no log, neither of the box nor of a proxy.
        """
        if not self.claim_code or not self.addresses:
            return ""
        return f"{self.page(self.addresses[0])}/claim#{self.claim_code}"
