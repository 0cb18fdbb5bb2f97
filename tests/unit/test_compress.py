"""Streaming decompression: every kind, any piece size, several members, bombs and damage."""

import bz2
import gzip
import lzma
import os

import pytest
import zstandard

from corten import errors
from corten.wire import compress

PLAIN = os.urandom(70_000) + b"a" * 300_000
KINDS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "": bytes,
}


def source(data, size):
    iterator = iter([data[start : start + size] for start in range(0, len(data), size)])
    return lambda: next(iterator, b"")


def drain(read):
    parts = []
    while part := read():
        parts.append(bytes(part))
    return b"".join(parts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [97, 1 << 16, 1 << 22])
def test_round_trip(kind, size):
    data = KINDS[kind](PLAIN)
    assert compress.detect(data[:6]) == kind
    assert drain(compress.auto(source(data, size))) == PLAIN


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_members_after_each_other(kind):
    data = KINDS[kind](PLAIN[:1000]) + KINDS[kind](PLAIN[1000:])
    assert drain(compress.auto(source(data, 511))) == PLAIN


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_cut_off(kind):
    data = KINDS[kind](PLAIN)
    with pytest.raises(errors.InvalidArgument, match="unexpected EOF"):
        drain(compress.auto(source(data[: len(data) - 9], 4096)))


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_damage(kind):
    data = bytearray(KINDS[kind](PLAIN))
    data[40:60] = bytes(20)
    with pytest.raises(errors.InvalidArgument):
        drain(compress.auto(source(bytes(data), 4096)))


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
def test_bombs_stop_at_the_budget(kind):
    data = KINDS[kind](bytes(80 << 20))
    budget = compress.Budget(free=4 << 20, ratio=10)
    read = compress.auto(source(data, 1 << 20), budget)
    taken = 0
    with pytest.raises(errors.InvalidArgument, match="grows without reason"):
        while part := read():
            assert len(part) <= 4 << 20
            taken += len(part)
    assert taken <= (4 << 20) + 10 * len(data) + (4 << 20)


def test_huge_zstd_window_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(b"x" * 1000) + compressor.flush()
    with pytest.raises(errors.InvalidArgument):
        drain(compress.auto(source(data, 4096)))


def test_trailing_garbage_after_gzip():
    data = gzip.compress(b"x")
    assert drain(compress.auto(source(data + bytes(700), 100))) == b"x"
    with pytest.raises(errors.InvalidArgument):
        drain(compress.auto(source(data + b"garbage", 100)))
