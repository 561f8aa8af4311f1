"""Which network addresses a crawl may reach: decided on the address itself, after every name was resolved."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The clouds' metadata services hand out the machine's credentials. 169.254.169.254 and fe80::/10 are link-local and
# refused as such; these are the ones that look like ordinary addresses (AWS over IPv6, Alibaba, Azure).
METADATA = frozenset(ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16"))

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


def refusal(text: str, allow_private: bool) -> str | None:
    """Why the address *text* must not be reached, or None where it may be. ValueError if it is no address.

    Link-local, multicast, unspecified and metadata addresses are refused always; private, loopback and otherwise
    non-global ones unless *allow_private*. An IPv4 address wrapped into an IPv6 one counts as itself.
    """
    outer = ipaddress.ip_address(text.partition("%")[0])
    address = _unwrapped(outer)
    if address in METADATA:
        return f"{outer} is a cloud metadata address"
    if address.is_link_local:
        return f"{outer} is a link-local address (the metadata service is one)"
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        return f"{outer} is not the address of a web site"
    if not allow_private and not address.is_global:
        return f"{outer} is a private address"
    return None


def _unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if wrapped is not None:
            return wrapped
    return address
