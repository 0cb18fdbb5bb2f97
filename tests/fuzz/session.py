"""A session: so many requests of every family, then the accounts."""

import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from tests.fuzz import published, streams, verdict, watch
from tests.fuzz.exchange import NotHttp, Outcome, Request, exchange
from tests.fuzz.mutation import malform, pieces
from tests.fuzz.operations import LIVE, Builder
from tests.fuzz.world import World
from tests.support import schema
from tests.support.daemon import Daemon
from tests.support.stock import PATIENCE, eventually

LIMIT = 30.0 * PATIENCE
WORKERS = 12
BATCH = 250
PROGRESS = 10_000
SHARES = (("schema", 8), ("values", 42), ("bytes", 38), ("streams", 12))
"""Out of a hundred."""
GROWTH = 40 << 20
"""Bytes that the daemon may gain for heaps, caches and its database's pages, however many requests there were."""
MOST_REPORTED = 60

Job = Callable[[], None]


class Session:
    """``faults`` maps a sentence to the names of the cases in which it was found."""

    def __init__(self, daemon: "Observed", seed: str, count: int, only: str = "") -> None:
        self.daemon, self.seed, self.count, self.only = daemon, seed, count, only
        self.world = World(daemon.socket)
        self.faults: dict[str, list[str]] = {}
        self.told = ""
        self.enough = False
        self.sent = 0
        signal.signal(signal.SIGINT, self.stop)
        self.statuses: Counter[str] = Counter()
        self.slow: list[tuple[float, str, str]] = []

    def fault(self, sentence: str, case: str, what: bytes = b"") -> None:
        known = self.faults.setdefault(sentence, [])
        if len(known) < 3:
            known.append(f"{case} {what[:1500]!r}" if what else case)

    def stop(self, *_: object) -> None:
        """Send no more; the accounts follow."""
        self.enough = True

    # cases

    def jobs(self) -> Iterator[Job]:
        """All cases of the session, mixed."""
        if self.only:
            yield from (lambda: self.case(self.only) for _ in range(self.count))
            return
        chance = random.Random(self.seed)
        described = iter(())
        shares = dict(SHARES)
        if schema.PATH:
            described = published.cases(self.count * shares["schema"] // 100, self.seed)
        else:
            shares["schema"] = 0
        for number in range(self.count):
            family = chance.choices(list(shares), list(shares.values()))[0]
            name = f"{family}:{self.seed}:{number}"
            if family == "schema":
                case = next(described, None)
                if case is not None:
                    yield lambda case=case, name=name: self.described(case, name)
                    continue
                name = f"values:{self.seed}:{number}"
            yield lambda name=name: self.case(name)

    def case(self, name: str) -> None:
        """The case of that name, "family:seed:number"; the same name sends the same bytes, but for ids."""
        family = name.partition(":")[0]
        chance = random.Random(name)
        if family == "streams":
            self.stream(name, chance)
            return
        wild = chance.choice((0.05, 0.3)) if family == "values" else 0.05
        request = Builder(self.world, chance, wild).request()
        if family == "bytes":
            data = malform(request.data, chance)
            leave = chance.random() < 0.1
            live = any(word.encode() in first_line(data) for word in LIVE)
            request = Request(data, first_word(data), live, True, pieces(data, chance), leave)
        self.judge(request, name)

    def described(self, case: object, name: str) -> None:
        request = published.request(case, self.world, random.Random(name))
        outcome = self.judge(request, name)
        if outcome is not None and outcome.answers:
            old = re.search(rb"/v1\.(?!56)\d\d/", first_line(request.data)) is not None
            for sentence in published.faults(case, outcome.answers[0], old):
                self.fault(sentence, name, request.data + b" -> " + outcome.data[:600])

    def judge(self, request: Request, name: str) -> Outcome | None:
        """Send it and look at what comes back."""
        try:
            outcome = exchange(self.daemon.socket, request, LIMIT)
        except NotHttp as error:
            self.fault(f"not HTTP: {error}", name, request.data)
            return None
        except OSError as error:
            self.fault(f"no connection: {error!r}", name, request.data)
            return None
        line = first_line(request.data).decode("latin-1").rpartition(" ")[0]
        self.slow.append((outcome.seconds, name, line[:150]))
        if not outcome.ended and not self.told:
            self.told = self.daemon.tell()
        for sentence in verdict.faults(request, outcome):
            self.fault(f"{line.partition('?')[0][:100]}: {sentence}", name, request.data)
        for answer in outcome.answers:
            self.statuses[str(answer.status)] += 1
            shown = f"{line.partition('?')[0]}: {verdict.message(answer)}"
            if answer.status == 500 and not verdict.explained(shown):
                self.fault(f"500 {shown[-300:]}", name, request.data)
        return outcome

    def stream(self, name: str, chance: random.Random) -> None:
        try:
            kind = streams.hostile(self.world, self.daemon.socket, chance, LIMIT)
            self.statuses[kind] += 1
        except (streams.Silent, AssertionError) as error:
            self.fault(f"stream: {error}", name)
        except OSError as error:
            self.fault(f"stream: {error!r}", name)

    # the run

    def run(self) -> bool:
        """Whether all is well. Says on standard output what is not."""
        os.makedirs("/tmp/fuzz-share/deeper", exist_ok=True)
        fresh = watch.files(self.daemon)
        heart = watch.Heartbeat(self.daemon.socket, LIMIT)
        heart.start()
        start = time.monotonic()
        before = self.work()
        heart.end()
        if heart.failure:
            self.fault(heart.failure, "heartbeat")
        seconds = time.monotonic() - start
        self.accounts(before)
        self.world.works()
        self.world.clear()
        self.remains(fresh)
        log = self.daemon.log_tail(1_000_000)
        for text in watch.bad_lines(log):
            self.fault(f"in the daemon's log:\n{text}", "log")
        print(f"{self.sent} requests in {seconds:.0f} s, seed {self.seed}, slowest ping {heart.worst:.2f} s")
        for waited, name, line in sorted(self.slow, reverse=True)[:5]:
            print(f"{waited:.1f} s: {name} {line}")
        print("answers:", ", ".join(f"{what} {times}" for what, times in sorted(self.statuses.items())))
        return self.report(log)

    def work(self) -> watch.Usage:
        """All cases; gives what the daemon used after the first tenth of them."""
        before = None
        jobs = self.jobs()
        done = 0
        waiting: set[Future[None]] = set()
        with ThreadPoolExecutor(WORKERS) as pool:
            while not self.enough and (batch := list(islice(jobs, BATCH))):
                if done % PROGRESS == 0:
                    print(f"{done} requests, {len(self.faults)} faults, {watch.Usage.of(self.daemon)}", flush=True)
                self.world.refresh()
                for job in batch:
                    if len(waiting) > 2 * WORKERS:
                        over, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        for future in over:
                            future.result()
                    waiting.add(pool.submit(job))
                done += len(batch)
                if before is None and done >= min(self.count / 10, 5000):
                    wait(waiting)
                    self.world.refresh(calm=True)
                    before = self.calm()
            for future in waiting:
                future.result()
        self.sent = done
        self.world.refresh(calm=True)
        assert before is not None
        return before

    def calm(self) -> watch.Usage:
        """The daemon's usage once what was broken off has ended."""
        time.sleep(1)
        return watch.Usage.of(self.daemon)

    def accounts(self, before: watch.Usage) -> None:
        """Nothing has grown."""
        last = before

        def settled() -> bool:
            nonlocal last
            last = watch.Usage.of(self.daemon)
            more = last.descriptors - before.descriptors, last.tasks - before.tasks, last.threads - before.threads
            return more[0] <= 4 and more[1] <= 4 and more[2] <= 40

        try:
            eventually(settled, timeout=30)
        except AssertionError:
            self.fault(f"descriptors, threads or tasks grow: {before} -> {last}", "accounts")
        print(f"before {before}\nafter  {last}")
        if last.memory - before.memory > GROWTH:
            self.fault(f"memory grows: {before.memory >> 20} MiB -> {last.memory >> 20} MiB", "accounts")

    def remains(self, fresh: set[str]) -> None:
        """An emptied daemon keeps no files."""
        try:
            eventually(lambda: not watch.files(self.daemon) - fresh, timeout=10)
        except AssertionError:
            left = sorted(watch.files(self.daemon) - fresh)
            self.fault(f"files stay: {left[:20]} ({len(left)})", "files")

    def report(self, log: str) -> bool:
        for sentence, cases in list(self.faults.items())[:MOST_REPORTED]:
            print(f"\nFAULT {sentence}")
            for case in cases:
                print(f"   {case}")
        if self.told:
            print(f"\nwhen the first request had not ended in time:\n{self.told}")
        if self.faults:
            print(f"\n{len(self.faults)} faults. Again: CORTEN_FUZZ_SEED={self.seed} CORTEN_FUZZ_REQUESTS={self.count}")
            print("One case: CORTEN_FUZZ_CASE=family:seed:number\n\nthe end of the daemon's log:\n" + log[-3000:])
        return not self.faults


class Observed(Daemon):
    """A daemon that can say where it stands."""

    def command(self) -> list[str]:
        return ["tests.fuzz.observed" if word == "corten.daemon.main" else word for word in super().command()]

    def tell(self) -> str:
        """What its tasks and threads are waiting for."""
        start = os.path.getsize(self.log_path)
        os.kill(self.pid, signal.SIGUSR2)
        time.sleep(2)
        with open(self.log_path, errors="replace") as log:
            log.seek(start)
            return log.read()


def first_line(data: bytes) -> bytes:
    return data.split(b"\r\n", 1)[0]


def first_word(data: bytes) -> str:
    return data.split(b" ", 1)[0][:20].decode("latin-1")


def main() -> int:
    tempfile.tempdir = "/tmp"
    seed = os.environ.get("CORTEN_FUZZ_SEED", "1")
    count = int(os.environ.get("CORTEN_FUZZ_REQUESTS", "2000"))
    daemon = Observed("cortend")
    well = False
    try:
        daemon.start()
        session = Session(daemon, seed, count, os.environ.get("CORTEN_FUZZ_CASE", ""))
        session.world.refresh(calm=True)
        well = session.run()
    except OSError:
        print(daemon.tell())
        raise
    finally:
        if "CORTEN_FUZZ_LOG" in os.environ:
            print(daemon.log_tail(1_000_000))
        leaks = daemon.close()
    if leaks:
        print(f"left on the host: {leaks}")
    return 0 if well and not leaks else 1
