"""Our tar reader and writer against Python's, and against archives that mean harm."""

import io
import random
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten import errors
from corten.wire import tarread, tarwrite


def pieces(data, size):
    iterator = iter([data[start : start + size] for start in range(0, len(data), size)])
    return lambda: next(iterator, b"")


def read_all(data, size=1 << 16):
    reader = tarread.TarReader(pieces(data, size))
    return [(entry, b"".join(bytes(part) for part in reader.data())) for entry in reader]


names = st.text(st.characters(blacklist_characters="\0/\n", blacklist_categories=("Cs",)), min_size=1, max_size=150)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(names, st.binary(max_size=2000), st.integers(0, 2**31), st.integers(0, 10**10)), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 3000),
)
def test_reads_what_python_writes(files, form, size):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content, uid, mtime in files:
            info = tarfile.TarInfo("d/" + name)
            info.size, info.uid, info.mtime = len(content), uid, mtime
            archive.addfile(info, io.BytesIO(content))
    found = read_all(buffer.getvalue(), size)
    assert [(e.name, c, e.uid, e.mtime) for e, c in found] == [
        (("d/" + name).encode(), content, uid, mtime * 10**9) for name, content, uid, mtime in files
    ]


@settings(max_examples=60, deadline=None)
@given(names, names, st.binary(max_size=600), st.integers(0, 2**40), st.integers(-(10**18), 2 * 10**18))
def test_python_reads_what_we_write(name, link, content, uid, mtime):
    data = tarwrite.header(name.encode(), size=len(content), uid=uid, mtime=mtime, xattrs={"user.x": b"\0\n="})
    data += content + tarwrite.padding(len(content))
    data += tarwrite.header(b"l", kind=tarwrite.SYMLINK, link=link.encode()) + tarwrite.TRAILER
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        first, second = archive.getmembers()
        assert first.name.encode("utf-8", "surrogateescape") == name.encode()
        assert (first.uid, archive.extractfile(first).read()) == (uid, content)
        assert second.linkname == link
    (entry, payload), (linked, _) = read_all(data)
    assert (entry.name, payload, entry.uid, entry.mtime) == (name.encode(), content, uid, mtime)
    assert entry.xattrs == {"user.x": b"\0\n="}
    assert linked.link == link.encode()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 700))
def test_damage_raises_our_error_and_nothing_else(seed, size):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("n" * 120 + "ä")
        info.size = 100
        archive.addfile(info, io.BytesIO(b"x" * 100))
    data = bytearray(buffer.getvalue())
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 6)):
        data[rng.randrange(2048)] = rng.randrange(256)
    try:
        read_all(bytes(data[: rng.randrange(len(data))]), size)
    except errors.InvalidArgument:
        pass


def sparse_header(kind, fields):
    block = bytearray(tarwrite.header(b"s", kind=kind, size=fields["stored"]))
    for position, (offset, length) in enumerate(fields["map"]):
        start = 386 + 24 * position
        block[start : start + 24] = b"%011o\0%011o\0" % (offset, length)
    block[483:495] = b"%011o\0" % fields["size"]
    block[257:265] = b"ustar  \0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_old_gnu_sparse():
    data = sparse_header(b"S", {"stored": 8, "size": 10_000, "map": [(0, 4), (9_996, 4)]})
    data += b"headtail" + tarwrite.padding(8) + tarwrite.TRAILER
    ((entry, payload),) = read_all(data)
    assert (entry.size, entry.sparse, payload) == (10_000, [(0, 4), (9_996, 4)], b"headtail")


@pytest.mark.parametrize("pairs", [[(4, 4), (0, 4)], [(0, 4)], [(0, 4), (9_999, 4)], [(0, 4), (2, 4)]])
def test_sparse_maps_that_lie(pairs):
    data = sparse_header(b"S", {"stored": 8, "size": 10_000, "map": pairs}) + b"headtail" + tarwrite.padding(8)
    with pytest.raises(errors.InvalidArgument):
        read_all(data + tarwrite.TRAILER)


def pax(records, name=b"f", size=0, payload=b""):
    body = b"".join(records)
    head = tarwrite.header(b"x", kind=b"x", size=len(body))
    return head + body + tarwrite.padding(len(body)) + tarwrite.header(name, size=size) + payload


def record(key, value):
    length = len(key) + len(value) + 3
    for digits in (1, 2, 3, 4):
        if len(str(length + digits)) == digits:
            return b"%d %s=%s\n" % (length + digits, key, value)
    raise AssertionError


def test_pax_sparse_1_0():
    payload = b"2\n0\n3\n100\n3\n".ljust(512, b"\0") + b"abcdef" + tarwrite.padding(6)
    records = [
        record(b"GNU.sparse.major", b"1"),
        record(b"GNU.sparse.minor", b"0"),
        record(b"GNU.sparse.name", b"real"),
        record(b"GNU.sparse.realsize", b"103"),
    ]
    ((entry, data),) = read_all(pax(records, size=518, payload=payload) + tarwrite.TRAILER)
    assert (entry.name, entry.size, entry.sparse, data) == (b"real", 103, [(0, 3), (100, 3)], b"abcdef")


@pytest.mark.parametrize(
    "data",
    [
        tarwrite.header(b"x", kind=b"x", size=2 << 20),
        tarwrite.header(b"x", kind=b"L", size=1 << 30),
        pax([b"5 a=\n9999 b=c\n"]),
        pax([record(b"size", b"-1")]),
        pax([record(b"size", b"9" * 30)]),
        pax([record(b"mtime", b"1e99")]),
        tarwrite.header(b"f", size=5000) + b"short",
        b"\1" * 512,
    ],
)
def test_refused(data):
    with pytest.raises(errors.InvalidArgument):
        read_all(data)
