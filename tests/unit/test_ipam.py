"""Address pools."""

import ipaddress
import threading

import pytest

from corten import errors
from corten.network.ipam import Pool, first_free


def pool(subnet: str, gateway: str, part: str = "") -> Pool:
    return Pool(
        ipaddress.ip_network(subnet),
        ipaddress.ip_address(gateway),
        ipaddress.ip_network(part) if part else None,
    )


def test_addresses_come_in_turn_and_a_freed_one_comes_last() -> None:
    small = pool("10.0.0.0/29", "10.0.0.1")
    got = [str(small.allocate()) for _ in range(3)]
    assert got == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    small.release(ipaddress.ip_address("10.0.0.3"))
    assert [str(small.allocate()) for _ in range(3)] == ["10.0.0.5", "10.0.0.6", "10.0.0.3"]


def test_network_broadcast_and_gateway_are_never_given() -> None:
    small = pool("10.0.0.0/29", "10.0.0.1")
    got = {str(small.allocate()) for _ in range(5)}
    assert got == {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}
    with pytest.raises(errors.Exhausted, match="no available IPv4 addresses"):
        small.allocate()
    small.release(ipaddress.ip_address("10.0.0.1"))
    with pytest.raises(errors.Exhausted):
        small.allocate()


def test_a_range_bounds_the_choice_but_not_the_wish() -> None:
    ranged = pool("10.0.0.0/24", "10.0.0.1", "10.0.0.128/30")
    assert [str(ranged.allocate()) for _ in range(4)] == [f"10.0.0.{last}" for last in (128, 129, 130, 131)]
    ranged.take(ipaddress.ip_address("10.0.0.7"))
    with pytest.raises(errors.Conflict, match="Address already in use"):
        ranged.take(ipaddress.ip_address("10.0.0.7"))
    with pytest.raises(errors.InvalidArgument, match="no configured subnet"):
        ranged.take(ipaddress.ip_address("10.0.1.7"))


def test_taken_addresses_are_not_given_again() -> None:
    small = pool("10.0.0.0/29", "10.0.0.1")
    small.take(ipaddress.ip_address("10.0.0.3"))
    assert [str(small.allocate()) for _ in range(2)] == ["10.0.0.4", "10.0.0.5"]


def test_a_large_ipv6_subnet_is_no_problem() -> None:
    large = pool("fd00::/64", "fd00::1")
    assert str(large.allocate()) == "fd00::2"


def test_parallel_allocations_are_all_different() -> None:
    large = pool("10.0.0.0/16", "10.0.0.1")
    got: list[str] = []

    def work() -> None:
        got.extend(str(large.allocate()) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1600


@pytest.mark.parametrize(
    ("gateway", "part"), [("10.0.1.1", ""), ("10.0.0.1", "10.1.0.0/30"), ("10.0.0.1", "fd00::/64")]
)
def test_what_does_not_lie_in_the_subnet_is_refused(gateway: str, part: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="is not in subnet"):
        pool("10.0.0.0/24", gateway, part)


def test_the_first_subnet_that_overlaps_nothing() -> None:
    occupied = [ipaddress.ip_network(text) for text in ("172.30.5.0/24", "0.0.0.0/32", "fd00::/8")]
    assert str(first_free(["172.30.0.0/16", "172.29.0.0/16"], occupied)) == "172.29.0.0/16"
    with pytest.raises(errors.Exhausted):
        first_free(["172.30.0.0/16"], occupied)
