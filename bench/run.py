"""``python -m bench.run``: measure every figure, the engines in turn within each repetition, and write the table."""

import argparse
import sys
from contextlib import ExitStack

from bench import containers, images, registry, report, resources, scale, streams
from bench.engines import NAMES, Engine, available
from bench.group import Group

GROUPS = (*containers.GROUPS, *streams.GROUPS, *registry.GROUPS, *resources.GROUPS, *scale.GROUPS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    keys = [group.key for group in GROUPS]
    parser.add_argument("--only", action="append", choices=keys, help="measure this group alone (may be repeated)")
    parser.add_argument("--engine", action="append", choices=NAMES, help="with this engine alone (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    return parser.parse_args()


def engines(stack: ExitStack, names: list[str]) -> list[Engine]:
    running = []
    for name in names:
        if lack := available(name):
            print(f"without {name}: {lack}", file=sys.stderr)
            continue
        engine = Engine(name)
        stack.callback(engine.close)
        engine.start()
        path = f"{engine.base}/busybox.tar"
        images.small(path)
        engine.docker("load", "-i", path)
        running.append(engine)
    return running


def measure(group: Group, running: list[Engine], quick: bool) -> None:
    taking_part = [engine for engine in running if engine.kind in group.engines]
    with ExitStack() as stack:
        for engine in taking_part:
            stack.callback(group.finish, engine)
            group.prepare(engine)
        for repetition in range((group.quick if quick else group.repetitions) + 1):
            for engine in taking_part:
                values = group.measure(engine)
                if repetition or group.repetitions == 1:  # the first warms up
                    group.values.setdefault(engine.kind, []).append(values)
            if group.repetitions == 1:
                break


def main() -> int:
    options = arguments()
    chosen = [group for group in GROUPS if not options.only or group.key in options.only]
    with ExitStack() as stack:
        running = engines(stack, options.engine or list(NAMES))
        versions = {engine.kind: engine.api("GET", "/version").json()["Version"] for engine in running}
        for group in chosen:
            print(f"measuring {group.key}", file=sys.stderr)
            measure(group, running, options.quick)
    print(report.write(chosen, versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
