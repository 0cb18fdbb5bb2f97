"""The netlink encoder: layouts of netlink(7) and rtnetlink(7), and reading what is malformed."""

import ipaddress
import struct

import pytest

from corten import errors
from corten.linux import link
from corten.linux.netlink import (
    Batch,
    Refused,
    _detail,
    attr,
    attr_text,
    attr_u8,
    attr_u32,
    attributes,
    messages,
    nested,
)


def test_attributes_are_padded_and_sized_without_padding() -> None:
    assert attr(3, b"abc") == struct.pack("=HH3sx", 7, 3, b"abc")
    assert attr_text(3, "abc") == struct.pack("=HH4s", 8, 3, b"abc\0")
    assert attr_u8(1, 5) == struct.pack("=HHB3x", 5, 1, 5)


def test_nested_attributes_carry_the_flag_and_read_back() -> None:
    raw = nested(18, attr_text(1, "veth"), attr_u32(2, 7))
    outer = attributes(raw)
    assert list(outer) == [18]
    assert attributes(outer[18]) == {1: b"veth\0", 2: struct.pack("=I", 7)}
    assert struct.unpack_from("=HH", raw)[1] == 18 | 0x8000


@pytest.mark.parametrize("size", [0, 3, 9, 65535])
def test_an_attribute_that_overruns_is_refused(size: int) -> None:
    with pytest.raises(errors.System, match="overruns"):
        attributes(struct.pack("=HHI", size, 1, 0))


def test_a_batch_numbers_its_requests_and_asks_for_acknowledgements() -> None:
    batch = Batch()
    batch.add(16, 0x400, b"abc", "one")
    batch.add(20, 0, b"", "two")
    found = list(messages(batch.encode(7)))
    assert [(kind, flags, sequence) for kind, flags, sequence, _ in found] == [(16, 0x405, 7), (20, 0x5, 8)]
    assert found[0][3] == b"abc"


def test_a_message_that_overruns_is_refused() -> None:
    with pytest.raises(errors.System, match="overruns"):
        list(messages(struct.pack("=IHHII", 99, 1, 0, 0, 0)))


def test_ignored_failures_are_none_others_name_the_request() -> None:
    batch = Batch()
    batch.add(16, 0, b"", "adding a thing", (17,))
    assert batch.failure(0, 17, "") is None
    failure = batch.failure(0, 1, "no right")
    assert isinstance(failure, Refused)
    assert failure.errno == 1
    assert str(failure) == "adding a thing: Operation not permitted (no right)"


def test_the_kernels_sentence_is_found_behind_the_echoed_request() -> None:
    echoed = struct.pack("=IHHII", 20, 16, 5, 1, 0) + b"body"
    whole = struct.pack("=i", -22) + echoed + attr_text(1, "Invalid thing")
    capped = struct.pack("=i", -22) + echoed[:16] + attr_text(1, "Invalid thing")
    assert _detail(0x200, whole) == "Invalid thing"
    assert _detail(0x300, capped) == "Invalid thing"
    assert _detail(0, capped) == ""


def test_an_address_request_has_local_address_and_broadcast() -> None:
    batch = Batch()
    link.add_address(batch, 9, ipaddress.ip_interface("10.0.0.5/24"))
    ((kind, _, _, body),) = messages(batch.encode(1))
    assert kind == link.RTM_NEWADDR
    assert struct.unpack_from("=BBBBI", body) == (2, 24, 0, 0, 9)
    values = attributes(body, 8)
    assert values[link.IFA_LOCAL] == values[link.IFA_ADDRESS] == bytes((10, 0, 0, 5))
    assert values[link.IFA_BROADCAST] == bytes((10, 0, 0, 255))


def test_ipv6_addresses_skip_duplicate_detection() -> None:
    batch = Batch()
    link.add_address(batch, 9, ipaddress.ip_interface("fd00::5/64"))
    ((_, _, _, body),) = messages(batch.encode(1))
    assert struct.unpack_from("=BBBBI", body)[2] & link.IFA_F_NODAD
    assert link.IFA_BROADCAST not in attributes(body, 8)
