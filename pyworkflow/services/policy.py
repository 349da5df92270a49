"""Where services may be called: what an address looks like, and which machines it may lead to."""

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from msgspec import Struct

from pyworkflow.errors import InvalidRequestError
from pyworkflow.services.errors import ForbiddenAddressError

Ip = IPv4Address | IPv6Address

# So narrow that every reader of addresses takes it for the same: no name and password, no escape in the host, nothing that is not ASCII.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][!$%&'()*+,./0-9:;=?@A-Z_a-z~-]*)?",
    re.IGNORECASE,
)
# 63 characters between two dots and 253 in all: resolvers fail on more.
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_NAT64 = IPv6Network("64:ff9b::/96")
PORTS = {"http": 80, "https": 443}


class Place(Struct, frozen=True):
    """Where an address leads, before its name is looked up.

    Attributes:
        host: A name in small letters, or an IP address without brackets.
        port: The port.
    """

    host: str
    port: int


class AddressPolicy:
    """Which addresses may be called: public ones, and those that the operator allows besides.

    Args:
        allowed: Host names, IP addresses and networks (``10.1.0.0/16``) where services may be although they are not public. A name is
            allowed wherever it leads.
        ports: The ports that may be called; any, if left out.

    Raises:
        InvalidRequestError: One of these is none.
    """

    def __init__(self, allowed: Iterable[str] = (), ports: Iterable[int] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._hosts: set[str] = set()
        self._ports = frozenset(ports)
        for word in allowed:
            name = _plain(word)
            try:
                self._networks.append(ip_network(name, strict=False))
            except ValueError:
                if not _NAME.fullmatch(name) or _NUMBER.fullmatch(name.rpartition(".")[2]):
                    told = "must be a host name, an IP address or a network"
                    raise InvalidRequestError(f"allowed address {word!r}", told) from None
                self._hosts.add(name)

    def check(self, address: str) -> Place:
        """Return where an address leads; names are not looked up yet, see `check_ip`.

        Raises:
            ForbiddenAddressError: It is no URL that can be called, or leads where no service may be.
        """
        found = _URL.fullmatch(address)
        if found is None:
            told = "must be an http or https URL in ASCII, without name and password or fragment"
            raise ForbiddenAddressError("address", told)
        port = int(found["port"] or PORTS[found["scheme"].lower()])
        if not 0 < port < 65_536 or (self._ports and port not in self._ports):
            raise ForbiddenAddressError("address", f"has the port {port}, which is not allowed")
        host = _plain(found["host"])
        ip = _ip(host)
        if ip is not None:
            self.check_ip(host, ip)
        elif _NUMBER.fullmatch(host.rpartition(".")[2]) or not _NAME.fullmatch(host):
            # Some resolvers take 127.1 and 0x7f000001 for addresses.
            raise ForbiddenAddressError("address", f"has the host {host!r}, which is no name")
        elif host == "localhost" or host.endswith(".localhost"):
            self.check_ip(host, IPv4Address("127.0.0.1"))
        return Place(host, port)

    def check_ip(self, host: str, ip: Ip) -> None:
        """Refuse an IP address that a host leads to.

        Raises:
            ForbiddenAddressError: No service may be there.
        """
        if host in self._hosts or any(
            ip.version == network.version and ip in network for network in self._networks
        ):
            return
        meant = _embedded(ip)
        if meant is not None and meant != ip:
            self.check_ip(host, meant)
        elif not ip.is_global or ip.is_multicast or (meant is None and ip.is_reserved):
            told = f"leads to {ip}, which is not public; the operator can allow it"
            raise ForbiddenAddressError("address", told)


def _plain(host: str) -> str:
    return host.lower().removeprefix("[").removesuffix("]").removesuffix(".")


def _ip(host: str) -> Ip | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _embedded(ip: Ip) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, if it stands for one."""
    if isinstance(ip, IPv4Address):
        return None
    teredo = ip.teredo
    nat64 = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
    return ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else None) or nat64
