"""Addresses, quantities and names, by property."""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from config.models import Name, Site
from config.models.addresses import AddressRange, IPAddress, parse_network
from config.models.quantity import format_cpu, format_memory, parse_cpu, parse_memory
from config.names import (
    admin_group,
    is_reserved,
    keys,
    member_group,
    namespace,
    network_object,
    same_reading,
    server_name,
    slug,
    tenant_account,
)

# A few addresses close together, so that ranges meet, and the ends of each family.
_V4 = st.one_of(st.integers(0, 40), st.integers(2**32 - 40, 2**32 - 1)).map(IPv4Address)
_V6 = st.one_of(st.integers(0, 40), st.integers(2**128 - 40, 2**128 - 1)).map(IPv6Address)


@st.composite
def ranges(draw: st.DrawFn) -> AddressRange:
    family: st.SearchStrategy[IPAddress] = draw(st.sampled_from([_V4, _V6]))
    one, other = draw(family), draw(family)
    first, last = (one, other) if int(one) <= int(other) else (other, one)
    assume(int(last) - int(first) < 100)
    return AddressRange(first, last)


@given(ranges())
def test_range_reads_back_what_it_writes(one: AddressRange) -> None:
    assert AddressRange.parse(str(one)) == one
    assert hash(AddressRange.parse(str(one))) == hash(one)
    assert [str(address) for address in one.each()][:1] == [str(one.first)]


@given(ranges(), ranges())
def test_ranges_overlap_where_an_address_lies_in_both(one: AddressRange, other: AddressRange) -> None:
    both = {(address.version, int(address)) for address in one.each()} & {
        (address.version, int(address)) for address in other.each()
    }
    assert one.overlaps(other) == other.overlaps(one) == bool(both)
    assert all(address in one for address in one.each())


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_cidr_is_the_range_of_its_network(number: int, prefix: int) -> None:
    network = ipaddress.ip_network((number, prefix), strict=False)
    parsed = AddressRange.parse(str(network))
    assert (parsed.first, parsed.last) == (network.network_address, network.broadcast_address)
    assert parse_network(str(network)) == network


@given(st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.floats(), st.lists(st.text())))
@example("1e40")
@example("9" * 400)
@example("²")
def test_anything_else_is_a_value_error_with_its_fix(anything: object) -> None:
    for parse in (AddressRange.parse, parse_network, parse_cpu, parse_memory):
        try:
            parse(anything)
        except ValueError as error:
            said = str(error)
        else:
            continue
        assert "; " in said


@given(st.integers(1, 10**7))
def test_cpu_round_trip(millis: int) -> None:
    assert parse_cpu(format_cpu(millis / 1000)) == millis / 1000
    assert parse_cpu(f"{millis}m") == millis / 1000


@given(st.integers(2**20, 2**55))
def test_memory_round_trip(amount: int) -> None:
    assert parse_memory(format_memory(amount)) == amount


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2Gi", 2 * 2**30), ("512Mi", 2**29), ("1G", 10**9), ("1.5Gi", 3 * 2**29), (2**20, 2**20), ("8Ti", 2**43)],
)
def test_memory(written: object, meant: int) -> None:
    assert parse_memory(written) == meant


@pytest.mark.parametrize(("written", "meant"), [(2, 2.0), (0.5, 0.5), ("500m", 0.5), ("2", 2.0), ("1.25", 1.25)])
def test_cpu(written: object, meant: float) -> None:
    assert parse_cpu(written) == meant


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@given(st.text(), st.integers(16, 63))
def test_slug_is_always_a_dns_label(text: str, length: int) -> None:
    made = slug(text, length)
    assert len(made) <= length
    assert _LABEL.fullmatch(made)


@given(st.lists(st.text(alphabet="aA1-_.@é ", max_size=40), unique=True, max_size=30), st.integers(16, 40))
def test_slugs_never_collide(texts: list[str], length: int) -> None:
    assert len({slug(text, length) for text in texts}) == len(texts)


@given(st.text(max_size=30))
def test_slug_of_a_slug_is_not_taken_for_the_original(text: str) -> None:
    made = slug(text)
    assert made == text or slug(made) != made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("physics", "physics"),
        ("lab-a", "lab-a"),
        ("ada@example.org", "ada-example-org--"),
        ("Ada", "ada--"),
        ("lab--a", "lab-a--"),
        ("-lab", "lab--"),
        ("", "x--"),
        ("物理", "x--"),
        ("a" * 64, "a" * 49 + "--"),
    ],
)
def test_slug_table(text: str, made: str) -> None:
    got = slug(text)
    assert got == made or (made.endswith("--") and re.fullmatch(re.escape(made) + "[0-9a-f]{12}", got))


def test_slug_needs_room_for_its_hash() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        slug("physics", 15)


_SERVER = re.compile(r"[a-z](-?[a-z0-9])*")


@given(st.lists(st.text(alphabet=st.one_of(st.sampled_from("aZ9- _é物"), st.characters()), max_size=50), max_size=15))
def test_server_names_are_valid_and_never_taken(titles: list[str]) -> None:
    taken: set[str] = set()
    for title in titles:
        name = server_name(title, taken)
        assert 1 <= len(name) <= 30
        assert _SERVER.fullmatch(name)
        assert name not in taken
        taken.add(name)


def test_server_name_is_valid_by_the_model_too() -> None:
    from pydantic import TypeAdapter

    assert TypeAdapter(Name).validate_python(server_name("Ü 2. Crawl of the archive, every night at 2!"))


@pytest.mark.parametrize(
    ("title", "taken", "name"),
    [
        ("My crawl", set(), "my-crawl"),
        ("My crawl", {"my-crawl"}, "my-crawl-2"),
        ("My crawl", {"my-crawl", "my-crawl-2"}, "my-crawl-3"),
        ("2024 data", set(), "data"),
        ("物理", set(), "crawl"),
        ("a" * 40, {"a" * 30}, "a" * 28 + "-2"),
    ],
)
def test_server_name_table(title: str, taken: set[str], name: str) -> None:
    assert server_name(title, taken, fallback="crawl") == name


def test_names_of_a_tenant() -> None:
    assert tenant_account("physics") == namespace("physics") == "tenant-physics"
    assert member_group("physics") == "tenanthub:physics"
    assert admin_group("physics") == "tenanthub:physics:admin"
    assert is_reserved("tenant-physics")
    assert not is_reserved("tenants")
    assert keys(Site()).owner == "edge.kudpc.kyoto-u.ac.jp/owner"


def test_objects_of_two_networks_never_share_a_name() -> None:
    assert network_object("a-b", "c") != network_object("a", "b-c")
    assert keys(Site()).lb("physics") == "edge.kudpc.kyoto-u.ac.jp/lb_physics"
    assert keys(Site()).eg("physics", "lab-a") == "edge.kudpc.kyoto-u.ac.jp/eg_physics_lab-a"


def test_titles_that_read_the_same() -> None:
    assert same_reading(" Note  Book") == same_reading("NOTE BOOK") == same_reading("Note Book")
    assert same_reading("Note Book") != same_reading("Notebook")
