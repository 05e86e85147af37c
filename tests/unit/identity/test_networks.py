"""Where a key or a service may come from."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.identity.networks import MAX_NETWORKS, contains, is_within, parse_networks


def test_networks_are_kept_in_one_form_sorted_and_once():
    asked = [" 2001:DB8:0:0::/48", "192.0.2.7", "10.0.0.0/8", "2001:db8::/48", "", "10.0.0.0/255.0.0.0"]
    assert parse_networks(asked) == ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/48")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("10.1.2.3/8", "Did you mean 10.0.0.0/8, or the one address 10.1.2.3"),
        ("2001:db8::1/48", "Did you mean 2001:db8::/48"),
        ("office", "office is no network"),
        ("10.0.0.0/33", "10.0.0.0/33 is no network"),
        ("10.0.0", "is no network"),
        ("0.0.0.0/0", "leave the list empty"),
        ("::/0", "leave the list empty"),
        ("fe80::1%eth0", "Leave the part from % on away"),
        ("::ffff:10.0.0.0/104", "Write them as IPv4"),
        ("::/1", "Write them as IPv4"),
        ("10.0.0.0/8\n11.0.0.0/8", "one of the entries is no network"),
        ("1" * 5000, "is no network"),
    ],
)
def test_odd_network_is_refused_with_what_was_meant(text: str, says: str):
    with pytest.raises(InvalidRequest, match=says.replace("%", "%")) as error:
        parse_networks(["192.0.2.0/24", text])
    assert error.value.param == "networks"
    assert len(error.value.message) < 250


def test_too_many_networks_are_refused():
    with pytest.raises(InvalidRequest, match="at most 20"):
        parse_networks([f"10.0.{n}.0/24" for n in range(MAX_NETWORKS + 1)])


@pytest.mark.parametrize(
    ("ip", "inside"),
    [
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("2001:db8:1::9", True),
        ("2001:db9::9", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("::10.1.2.3", False),
        ("2001:db8::1%eth0", False),
        ("", False),
        ("testclient", False),
        ("10.1.2.3/8", False),
        ("10.1.2.3, 11.0.0.1", False),
        ("0x0a010203", False),
        ("012.1.2.3", False),
    ],
)
def test_address_is_in_one_of_them_or_not(ip: str, inside: bool):
    assert contains(["10.0.0.0/8", "2001:db8::/32"], ip) is inside


def test_no_networks_mean_from_anywhere():
    assert contains([], "198.51.100.1")
    assert contains([], "")


@pytest.mark.parametrize(
    ("narrow", "wide", "within"),
    [
        (["10.1.0.0/16"], ["10.0.0.0/8"], True),
        (["10.0.0.0/8"], ["10.1.0.0/16"], False),
        (["10.0.0.0/8"], [], True),
        ([], ["10.0.0.0/8"], False),
        ([], [], True),
        (["10.1.0.0/16"], ["2001:db8::/48"], False),
        (["2001:db8::/48"], ["10.0.0.0/8"], False),
        (["2001:db9::/48"], ["2001:db8::/32"], False),
        (["10.1.0.0/16", "2001:db8::/48"], ["10.0.0.0/8"], False),
        (["2001:db8:0:1::/64"], ["10.0.0.0/8", "2001:db8::/48"], True),
    ],
)
def test_narrower_lists_are_told_from_wider_ones(narrow: list[str], wide: list[str], within: bool):
    assert is_within(narrow, wide) is within


networks = st.lists(
    st.builds(
        lambda number, prefix: str(ipaddress.ip_network((number, prefix), strict=False)),
        st.integers(0, 2**32 - 1),
        st.integers(1, 32),
    ),
    max_size=4,
)


@given(networks, networks, st.integers(0, 2**32 - 1))
def test_whoever_comes_out_of_a_narrower_list_comes_out_of_the_wider_one(narrow, wide, number):
    address = str(ipaddress.IPv4Address(number))
    if is_within(narrow, wide) and contains(narrow, address):
        assert contains(wide, address)
