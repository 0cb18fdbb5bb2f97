"""Fetches that pulls share: who is asked, who is told, and what happens when one of them leaves."""

import gzip
import hashlib
import queue
import threading

import pytest

from corten import errors
from corten.engine.blobfetches import Fetches
from corten.oci.manifest import Descriptor
from corten.store.content import CHUNK, ContentStore
from corten.store.partial import Partials
from tests.support.stock import eventually

DATA = hashlib.shake_128(b"fetch").digest(2 * CHUNK + 77)


def descriptor(data: bytes = DATA, size: int = -1) -> Descriptor:
    return Descriptor(digest="sha256:" + hashlib.sha256(data).hexdigest(), size=len(data) if size < 0 else size)


class Body:
    def __init__(self, source: "Source", offset: int) -> None:
        self.source, self.offset, self.position = source, offset, offset
        self.aborted = False

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self.source.open -= 1

    def abort(self) -> None:
        self.aborted = True
        self.source.go.set()

    def read(self, size: int) -> bytes:
        self.source.begun.set()
        self.source.go.wait(30)
        if self.aborted:
            raise errors.Unavailable("aborted")
        piece = self.source.data[self.position : self.position + min(size, 700_000)]
        self.position += len(piece)
        if self.source.breaks and self.position >= self.source.breaks[0]:
            self.source.breaks.pop(0)
            raise errors.Unavailable("broken")
        return piece


class Source:
    """A repository whose answers wait for ``go``."""

    def __init__(self, data: bytes = DATA, error: Exception | None = None, *, held: bool = False) -> None:
        self.data, self.error = data, error
        self.offsets: list[int] = []
        self.breaks: list[int] = []
        self.open = 0
        self.begun, self.go = threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def blob(self, descriptor: Descriptor, offset: int = 0) -> Body:
        self.offsets.append(offset)
        if self.error is not None:
            raise self.error
        self.open += 1
        return Body(self, offset)


class Pull:
    """One side of a fetch: its queue and what it was told."""

    def __init__(
        self, fetches: Fetches, source: Source, wanted: Descriptor | None = None, *, unpack: bool = False
    ) -> None:
        self.fetches = fetches
        self.ended: queue.SimpleQueue = queue.SimpleQueue()
        self.told: list[tuple[str, int, int]] = []
        self.ticket = fetches.join(
            wanted or descriptor(), source, lambda *record: self.told.append(record), self.ended, unpack=unpack
        )

    def result(self) -> BaseException | None:
        ticket = self.ended.get(timeout=30)
        assert ticket is self.ticket
        return ticket.error

    def leave(self) -> None:
        self.fetches.leave(self.ticket)


@pytest.fixture
def partials(tmp_path):
    return Partials(str(tmp_path / "partial"))


@pytest.fixture
def fetches(tmp_path, partials):
    made = Fetches(ContentStore(str(tmp_path / "content")), partials, None, limit=2, attempts=3)
    yield made
    made.close()
    assert made.busy() == []


def test_one_for_two(fetches, partials):
    source = Source(held=True)
    one = Pull(fetches, source)
    source.begun.wait(30)
    two = Pull(fetches, Source(error=AssertionError()))
    source.go.set()
    assert one.result() is None
    assert two.result() is None
    assert source.offsets == [0]
    assert one.told[-1] == two.told[-1] == ("Download complete", 0, 0)
    late = Pull(fetches, Source(error=AssertionError()))
    assert late.result() is None
    for pull in (one, two, late):
        pull.leave()
    assert partials.sizes()  # nobody has published it: it serves the next one


def test_the_last_who_leaves_ends_it(fetches, partials):
    source = Source(held=True)
    pulls = [Pull(fetches, source) for _ in range(3)]
    source.begun.wait(30)
    for pull in pulls:
        pull.leave()
    eventually(lambda: not fetches.busy())
    assert source.open == 0
    assert partials.sizes() == {}
    again = Pull(fetches, Source())
    assert again.result() is None
    again.leave()


def test_one_who_leaves_harms_no_other(fetches):
    source = Source(held=True)
    one, two = Pull(fetches, source), Pull(fetches, Source(error=AssertionError()))
    source.begun.wait(30)
    one.leave()
    source.go.set()
    assert two.result() is None
    two.leave()


def test_the_next_source_is_asked(fetches):
    bad = Source(held=True, error=None)
    one = Pull(fetches, bad)
    bad.begun.wait(30)
    two = Pull(fetches, good := Source())
    bad.data = b"?" * len(DATA)
    bad.go.set()
    assert isinstance(one.result(), errors.DataLoss)
    assert two.result() is None
    assert good.offsets == [0]
    one.leave()
    two.leave()


def test_breaks_are_taken_up_and_counted(fetches):
    source = Source()
    source.breaks = [1_000_000, 1_500_000]
    pull = Pull(fetches, source)
    assert pull.result() is None
    assert source.offsets == [0, 700_000, 1_400_000] or len(source.offsets) == 3
    pull.leave()
    dead = Source(error=errors.Unavailable("no route"))
    pull = Pull(fetches, dead, descriptor(b"another"))
    assert str(pull.result()) == "no route"
    assert len(dead.offsets) == 3
    assert any(status.startswith("Retrying in ") for status, _, _ in pull.told)
    pull.leave()


@pytest.mark.parametrize(
    ("data", "wanted", "text"),
    [
        (DATA + b"1", descriptor(), "has more than the"),
        (DATA[:-1] + b"1", descriptor(), "verification failed"),
        (gzip.compress(DATA), descriptor(size=5), "has more than the 5 bytes"),
    ],
)
def test_what_is_not_the_blob(fetches, partials, data, wanted, text):
    pull = Pull(fetches, Source(data), wanted)
    error = pull.result()
    assert isinstance(error, errors.DataLoss)
    assert text in str(error)
    assert partials.sizes() == {}
    pull.leave()


def test_a_bound_on_what_runs(fetches):
    sources = [Source(hashlib.shake_128(b"%d" % number).digest(1000), held=True) for number in range(5)]
    pulls = [Pull(fetches, source, descriptor(source.data)) for source in sources]
    for source in sources[:2]:
        source.begun.wait(30)
    assert [bool(source.offsets) for source in sources] == [True, True, False, False, False]
    assert [pull.told[0][0] if pull.told else "" for pull in pulls[2:]] == ["Waiting"] * 3
    fetches.configure(4, 3)
    for source in sources[2:4]:
        assert source.begun.wait(30)
    pulls[4].leave()  # it has not begun and never will
    for source in sources:
        source.go.set()
    assert [pull.result() for pull in pulls[:4]] == [None] * 4
    assert sources[4].offsets == []
    for pull in pulls[:4]:
        pull.leave()


def test_a_new_one_waits_for_the_end_of_the_old(fetches):
    slow = Source(held=True)
    first = Pull(fetches, slow)
    slow.begun.wait(30)
    other = Pull(fetches, Source(), descriptor(size=len(DATA) + 0))
    bigger = Pull(fetches, Source(DATA), descriptor(size=len(DATA) + 1))  # another size: not the same fetch
    slow.go.set()
    assert first.result() is None
    assert other.result() is None
    first.leave()
    other.leave()
    assert isinstance(bigger.result(), errors.Unavailable)  # three times cut short
    bigger.leave()


def test_a_fetch_that_waits_for_its_turn_is_told_of_the_end(tmp_path, partials):
    """Whoever waits without a client that goes away, as for a layer to save, would keep the daemon from ending."""
    fetches = Fetches(ContentStore(str(tmp_path / "content")), partials, None, limit=1)
    source = Source(held=True)
    running = Pull(fetches, source)
    source.begun.wait(30)
    waiting = Pull(fetches, Source(), descriptor(b"other"))
    behind = Pull(fetches, Source(), descriptor(size=5))
    fetches.close()
    for pull in (waiting, behind):
        assert isinstance(pull.result(), errors.Unavailable)
        pull.leave()
    assert isinstance(running.result(), errors.Cancelled)
    running.leave()
    assert fetches.busy() == []
    with pytest.raises(errors.Unavailable):
        Pull(fetches, Source())


def test_without_a_thread_a_fetch_fails_and_the_next_one_goes_well(fetches, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: _no_thread())
        one = Pull(fetches, Source())
    assert isinstance(one.result(), errors.Exhausted)
    two = Pull(fetches, Source())
    one.leave()
    assert two.result() is None
    two.leave()


def test_without_a_thread_a_fetch_waits_for_one_that_runs(fetches, monkeypatch):
    source = Source(held=True)
    one = Pull(fetches, source)
    source.begun.wait(30)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: _no_thread())
        two = Pull(fetches, Source(b"other"), descriptor(b"other"))
    source.go.set()
    for pull in (one, two):
        assert pull.result() is None
        pull.leave()


def _no_thread():
    raise RuntimeError("can't start new thread")
