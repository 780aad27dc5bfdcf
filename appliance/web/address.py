"""Where a site is reached: the names it answers to, the address people open, and whose request it is."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from bottle import request

from appliance.places import network_of
from appliance.sections import WebSite

CLIENT = "mb9k.client"
Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{0,5})?")
_LINK = re.compile(r'(\s(?:href|src|action|data-preview)=")(?=/(?!/))')


def host_in(authority: str) -> str | None:
    """The host of `host:port`, an IPv6 address in its brackets; None if it does not look like one."""
    match = _AUTHORITY.fullmatch(authority)
    return match[1] if match else None


def ip_in(text: str) -> Ip | None:
    """The IP address that this is, with or without a port; an IPv4 address also where it is written as IPv6."""
    text = text.strip()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            address = ipaddress.ip_address((host_in(text) or "").strip("[]"))
        except ValueError:
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@dataclass(frozen=True)
class SiteAddress:
    """How a site is reached.

    base_url: what people open where a proxy stands before it, without a `/` at its end; empty: however they like.
    names: the host names it answers to, in lower case, beside localhost, the host of base_url and every IP address.
    proxies: whose X-Forwarded-For is believed. speaks_https: whether we do it ourselves.
    """

    base_url: str = ""
    names: frozenset[str] = frozenset()
    proxies: tuple[Network, ...] = ()
    speaks_https: bool = False

    @property
    def https(self) -> bool:
        """Whether people open it by HTTPS only."""
        return self.speaks_https or self.base_url.startswith("https://")

    @property
    def prefix(self) -> str:
        """The path below which it lies, without a `/` at its end: /box3; empty: the whole host is its own."""
        return urlsplit(self.base_url).path

    @property
    def host(self) -> str:
        """The host of base_url; empty without one."""
        return host_in(urlsplit(self.base_url).netloc) or ""

    def seen_at(self, authority: str) -> str:
        """The address of the site without a `/` at its end, for whoever asked for it by this `Host` header."""
        return self.base_url or f"{'https' if self.speaks_https else 'http'}://{authority}"

    def answers_to(self, authority: str) -> bool:
        """Whether a `Host` header names this site.

        A page of another site can have its own name lead to this machine (DNS rebinding), but not an IP address.
        """
        host = (host_in(authority) or "").lower().rstrip(".")
        return host in {*self.names, "localhost", self.host.lower()} - {""} or ip_in(host) is not None

    def is_own_origin(self, origin: str, authority: str) -> bool:
        """Whether this `Origin` is a page of this site; authority: the request's `Host`, which a proxy may replace.

        Whoever goes past the proxy has a page of another origin, but not under the name of base_url.
        """
        base = urlsplit(self.base_url)
        own = {f"{base.scheme}://{base.netloc}".lower()}
        if not self.host or (host_in(authority) or "").lower() != self.host.lower():
            schemes = ("https",) if self.speaks_https else ("http", "https")
            own |= {f"{scheme}://{authority}".lower() for scheme in schemes}
        return origin.lower() in own

    def enter(self, environ: dict[str, Any]) -> None:
        """Take the prefix off a request's path, where the proxy did not, and note whose request it is."""
        path = environ.get("PATH_INFO", "")
        if self.prefix and (path == self.prefix or path.startswith(f"{self.prefix}/")):
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = self.prefix, path[len(self.prefix) :] or "/"
        environ[CLIENT] = self.client(environ.get("REMOTE_ADDR") or "?", environ.get("HTTP_X_FORWARDED_FOR", ""))

    def rooted(self, path: str) -> str:
        """A path of ours as others must ask for it. What is no path stays."""
        return self.prefix + path if path.startswith("/") else path

    def rooted_links(self, page: str) -> str:
        """A page with the prefix in every link. Only our own markup has a `"`: templates escape the rest."""
        return _LINK.sub(rf"\g<1>{self.prefix}", page) if self.prefix else page

    def client(self, remote: str, forwarded_for: str) -> str:
        """Whose request it is, to count tries by: the first address, from the end, that is no proxy of ours.

        Whoever asks may have written what stands before it. For IPv6 the network of /64, of which one person has
        plenty of addresses. remote: the other end of the connection; forwarded_for: the header X-Forwarded-For.
        """
        found = ip_in(remote)
        if found is None:
            return network_of(remote)
        for text in reversed(forwarded_for.split(",")):
            further = ip_in(text)
            if further is None or not self._is_proxy(found):
                break
            found = further
        return network_of(str(found))

    def _is_proxy(self, address: Ip) -> bool:
        return any(address in network for network in self.proxies)


def site_address(web: WebSite, short_names: Iterable[str], host: str, speaks_https: bool = False) -> SiteAddress:
    """How a site is reached: by its machine's names and these, also with .local, by this host, and as configured."""
    machine = socket.gethostname().lower()
    short = {machine, machine.partition(".")[0], *short_names}
    configured = {web.host, host, *web.names}
    return SiteAddress(
        base_url=web.base_url,
        names=frozenset({*short, *(f"{name}.local" for name in short), *(name.lower() for name in configured)}),
        proxies=tuple(ipaddress.ip_network(proxy) for proxy in web.proxies),
        speaks_https=speaks_https,
    )


def client_address() -> str:
    """Whose request the present one is, to count tries by; see SiteAddress.client."""
    return str(request.environ.get(CLIENT, "?"))
