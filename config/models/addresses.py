"""Ranges of IP addresses as MetalLB writes them: one address, a-b, or a CIDR."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

IPAddress = IPv4Address | IPv6Address


def parse_network(text: Any) -> IPv4Network | IPv6Network:
    """Read "192.0.2.0/24" or "2001:db8::/64"; ValueError says what would be right."""
    if isinstance(text, IPv4Network | IPv6Network):
        return text
    hint = "write an address and a prefix length, e.g. 192.0.2.0/24"
    if not isinstance(text, str) or "/" not in text or "%" in text:
        # ipaddress itself would read 10 as 0.0.0.10/32.
        raise ValueError(f"{text!r} is not a subnet; {hint}")
    try:
        loose = ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise ValueError(f"{error}; {hint}") from None
    if str(loose.network_address) != str(ip_address(text.strip().partition("/")[0])):
        raise ValueError(f"{text} is an address in a subnet, not the subnet; write {loose}")
    return loose


IPNetwork = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(parse_network),
    WithJsonSchema({"type": "string", "examples": ["192.0.2.0/24", "2001:db8:0:1::/64"]}),
]


class AddressRange:
    """First and last address, both included; IPv4 or IPv6. Immutable, compared by value."""

    __slots__ = ("first", "last")
    first: IPAddress
    last: IPAddress

    def __init__(self, first: IPAddress, last: IPAddress) -> None:
        """ValueError where the two ends are of two families or in the wrong order."""
        if first.version != last.version:
            raise ValueError(f"{first}-{last} mixes IPv4 and IPv6")
        if int(first) > int(last):
            raise ValueError(f"{first}-{last} runs backwards; write {last}-{first}")
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "last", last)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse: a range is a value."""
        raise AttributeError(f"AddressRange is immutable ({name})")

    @classmethod
    def parse(cls, text: Any) -> AddressRange:
        """Read "192.0.2.10", "192.0.2.10-192.0.2.19", "192.0.2.16/28" or the same in IPv6; ValueError otherwise."""
        if isinstance(text, AddressRange):
            return text
        hint = "write an address, a range first-last, or a CIDR, e.g. 192.0.2.10-192.0.2.19"
        if "%" in str(text):
            raise ValueError(f"{text} names a zone; {hint}")
        try:
            first, dash, last = str(text).strip().partition("-")
            if dash:
                return cls(ip_address(first.strip()), ip_address(last.strip()))
            if "/" in first:
                network = ip_network(first)
                return cls(network.network_address, network.broadcast_address)
            return cls(ip_address(first), ip_address(first))
        except ValueError as error:
            raise ValueError(str(error) if "; " in str(error) else f"{error}; {hint}") from None

    def __contains__(self, address: IPAddress) -> bool:
        """Whether *address* lies in the range; never for the other family."""
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)

    def overlaps(self, other: AddressRange) -> bool:
        """Whether one address lies in both."""
        return (
            self.first.version == other.first.version
            and int(self.first) <= int(other.last)
            and int(other.first) <= int(self.last)
        )

    def each(self) -> Iterator[IPAddress]:
        """Every address from first to last, lazily."""
        build = type(self.first)
        for number in range(int(self.first), int(self.last) + 1):
            yield build(number)

    def __str__(self) -> str:
        """As people write it: one address, or first-last."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __repr__(self) -> str:
        """For error messages and tests."""
        return f"AddressRange({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """By value."""
        return isinstance(other, AddressRange) and (self.first, self.last) == (other.first, other.last)

    def __hash__(self) -> int:
        """By value."""
        return hash((self.first, self.last))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from a string, serialise to a string."""
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Editors see a string with an example."""
        return {"type": "string", "examples": ["192.0.2.10-192.0.2.19", "192.0.2.16/28", "2001:db8::10"]}
