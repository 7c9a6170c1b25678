"""Which IP addresses are out on the public internet, and may be called on behalf of somebody who merely named them.

Decided by lists of our own, from IANA's special-purpose registries, and not by `ipaddress.is_global`, whose answers
changed between patch releases of the interpreters this runs on. In IPv6 it is the other way round: what is not
expressly global is refused. Addresses that carry an IPv4 address (mapped, NAT64) are judged by it; the transition
mechanisms 6to4 and Teredo are refused whole, since what they carry is routed by somebody else.

Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates); RFC 6052 (NAT64).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),  # with AWS's metadata, 169.254.169.254
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),  # with the broadcast address
    )
)

_GLOBAL_V6 = IPv6Network("2000::/3")
"""Outside it: loopback, link-local, unique local (with AWS's metadata, fd00:ec2::254), multicast, the unused."""

_REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("2001::/32", "Teredo"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "for documentation"),
    )
)

_CARRIES_V4 = tuple(IPv6Network(network) for network in ("::ffff:0:0/96", "64:ff9b::/96"))
"""IPv4-mapped, and NAT64's well-known prefix, by which a network without IPv4 reaches what has nothing else."""


def why_refused(address: str) -> str | None:
    """Why `address` may not be called; None where it may."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "not an address"
    return _why_v4(parsed) if isinstance(parsed, IPv4Address) else _why_v6(parsed)


def _why_v4(address: IPv4Address) -> str | None:
    return next((what for network, what in _REFUSED_V4 if address in network), None)


def _why_v6(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "of one link only"
    if any(address in network for network in _CARRIES_V4):
        return _why_v4(IPv4Address(int(address) & 0xFFFF_FFFF))
    if address not in _GLOBAL_V6:
        return "not global"
    return next((what for network, what in _REFUSED_V6 if address in network), None)
