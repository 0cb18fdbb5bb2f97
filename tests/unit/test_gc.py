"""Mark and sweep, limits, leases: against models that say the same in another way."""

import itertools
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corten.model.gc import GcPolicy, policy_from
from corten.model.units import seconds, size
from corten.store.database import Database
from corten.store.gc import BLOB, IMAGE, LAYER, Candidate, Graph, Limits, Node, choose
from corten.store.lease import Leases

NUMBERS = st.integers(0, 14)
GRAPHS = st.tuples(st.sets(NUMBERS, max_size=4), st.lists(st.tuples(NUMBERS, NUMBERS), max_size=40))


def node(number: int) -> Node:
    return Node((IMAGE, BLOB, LAYER)[number % 3], str(number))


def graph_of(roots, edges) -> Graph:
    graph = Graph()
    for root in sorted(roots):
        graph.root(node(root))
    for source, target in edges:
        graph.edge(node(source), [node(target)])
    return graph


@settings(deadline=None)
@given(GRAPHS)
def test_what_is_marked_is_what_can_be_reached(parts):
    roots, edges = parts
    reached = set(roots)
    while True:  # a fixed point, where the collector walks
        more = {target for source, target in edges if source in reached} - reached
        if not more:
            break
        reached |= more
    marked = graph_of(roots, edges).mark()
    assert {number for number in range(15) if node(number) in marked} == reached
    for kind in (IMAGE, BLOB, LAYER):
        assert marked.keys(kind) == {str(number) for number in reached if node(number).kind == kind}


@settings(deadline=None)
@given(GRAPHS)
def test_the_reason_is_a_way_from_a_root(parts):
    roots, edges = parts
    marked = graph_of(roots, edges).mark()
    allowed = {(node(source), node(target)) for source, target in edges}
    for number in range(15):
        way = marked.why(node(number))
        assert bool(way) == (node(number) in marked)
        if way:
            assert way[0] in {node(root) for root in roots}
            assert way[-1] == node(number)
            assert all(step in allowed for step in itertools.pairwise(way))


CANDIDATES = st.lists(
    st.builds(
        lambda key, size, used: Candidate(Node(IMAGE, key), size, used * 10**9),
        st.text("abcdef", min_size=1, max_size=4), st.integers(0, 100), st.integers(0, 1000),
    ),
    max_size=12, unique_by=lambda each: each.node,
)  # fmt: skip
LIMITS = st.builds(Limits, st.integers(0, 1000), st.integers(0, 500), st.integers(0, 500))


@settings(deadline=None)
@given(CANDIDATES, LIMITS, st.integers(0, 800), st.integers(0, 800))
def test_limits_take_the_oldest_and_no_more_than_they_must(candidates, limits, stored, free):
    chosen = choose(candidates, limits, now=1000 * 10**9, stored=stored, free=free)
    gone = [choice.candidate for choice in chosen]
    assert [each.used for each in gone] == sorted(each.used for each in gone)
    assert all(choice.reason for choice in chosen)
    for stays in set(candidates) - set(gone):
        assert not limits.max_age or (10**12 - stays.used) / 1e9 <= limits.max_age
    too_old = [each for each in candidates if limits.max_age and (10**12 - each.used) / 1e9 > limits.max_age]
    if not limits.keep_storage and not limits.min_free:
        assert set(gone) == set(too_old)
    for number, choice in enumerate(chosen):
        before = sum(each.size for each in gone[:number])
        full = limits.keep_storage and stored - before > limits.keep_storage
        tight = limits.min_free and free + before < limits.min_free
        assert full or tight or choice.candidate in too_old, "it went although every limit was kept"
    if len(gone) < len(candidates):
        left = stored - sum(each.size for each in gone)
        assert not limits.keep_storage or left <= limits.keep_storage
        assert not limits.min_free or free + sum(each.size for each in gone) >= limits.min_free


def test_no_limits_condemn_nothing():
    old = [Candidate(Node(IMAGE, str(number)), 1 << 40, 0) for number in range(5)]
    assert choose(old, Limits(), now=time.time_ns(), stored=1 << 50, free=0) == []


@pytest.fixture
def database(tmp_path):
    opened = Database(str(tmp_path / "state.db"))
    yield opened
    opened.close()


def test_a_lease_in_memory_ends_with_its_block(database):
    leases = Leases(database)
    with leases.hold("ingest") as first, leases.hold("ingest") as second:
        first("a")
        second("a")
        second("b")
        assert leases.held().keys() == {"a", "b"}
    assert leases.held() == {}
    with pytest.raises(ZeroDivisionError), leases.hold("ingest") as add:
        add("a")
        raise ZeroDivisionError
    assert leases.held() == {}


def test_a_persistent_lease_outlives_the_daemon_and_not_its_time(tmp_path):
    database = Database(str(tmp_path / "state.db"))
    leases = Leases(database)
    leases.create("pull", 3600, ["a", "b"])
    leases.create("pull", 3600, ["c"])
    leases.create("short", 0.001, ["x"])
    leases.create("released", 3600, ["y"])
    assert leases.release("released")
    assert not leases.release("released")
    with leases.hold("ingest") as add:
        add("memory")
        database.close()
        database = Database(str(tmp_path / "state.db"))
        fresh = Leases(database)
    try:
        time.sleep(0.002)
        assert fresh.held().keys() == {"a", "b", "c"}
        assert [lease.name for lease in fresh.expire()] == ["short"]
        assert set(fresh.held().values()) == {"pull"}
    finally:
        database.close()


STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "release"]), st.sampled_from("pqr"), st.sets(st.sampled_from("abcd"))),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_leases_and_their_table_say_the_same(tmp_path_factory, steps):
    path = str(tmp_path_factory.mktemp("leases") / "state.db")
    database = Database(path)
    leases, model = Leases(database), {}
    for action, name, items in steps:
        if action == "create":
            leases.create(name, 3600, items)
            model[name] = model.get(name, set()) | items
        elif action == "release":
            leases.release(name)
            model.pop(name, None)
    database.close()
    database = Database(path)
    wanted = {item for items in model.values() for item in items}
    for each in (leases, Leases(database)):
        assert each.held().keys() == wanted
        assert all(item in model[name] for item, name in each.held().items())
    database.close()


def test_leases_of_many_threads(database):
    leases = Leases(database)
    wrong = []

    def work(number):
        for _ in range(200):
            with leases.hold("ingest") as add:
                add(f"mine-{number}")
                add("ours")
                if not {f"mine-{number}", "ours"} <= leases.held().keys():
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert leases.held() == {}


def test_policy_from_words():
    assert policy_from({}) == GcPolicy()
    found = policy_from(
        {"max-age": "30d", "keep-storage": "10GB", "tagged": True, "interval": "90m", "enabled": "false"}
    )
    assert found == GcPolicy(enabled=False, interval=5400, max_age=30 * 86400, keep_storage=10 << 30, tagged=True)
    assert policy_from({"min-free-space": 5}, found).min_free_space == 5
    for words in (
        {"max-age": "soon"},
        {"colour": "red"},
        {"tagged": "perhaps"},
        {"interval": "0"},
        {"keep-storage": -1},
    ):
        with pytest.raises(ValueError, match=r"gc|invalid"):
            policy_from(words)


def test_the_default_removes_no_image():
    policy = GcPolicy()
    assert (policy.max_age, policy.keep_storage, policy.min_free_space, policy.tagged) == (0, 0, 0, False)


def test_units():
    assert (size("1.5k"), size("2GiB"), size("7")) == (1536, 2 << 30, 7)
    assert (seconds("1h30m"), seconds("0"), seconds("7d")) == (5400, 0, 604800)
