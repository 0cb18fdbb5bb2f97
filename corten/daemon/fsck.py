"""``cortend fsck``: checks the store while no daemon uses it. ``corten fsck`` calls it where nothing answers.

Takes the daemon's own flags, so that it looks where the daemon would, and writes the records of the API's door for the
same check to standard output, one per line. A failure is a last record ``{"error": ...}`` and exit code 2; else the
code is 1 while problems are left, 0 when there are none.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence

from corten import errors
from corten.api import findingshape
from corten.daemon.config import Config
from corten.daemon.rootlock import locked
from corten.engine.fsck.offline import check_offline
from corten.engine.fsck.subject import Options, discards
from corten.engine.paths import Paths

_SWITCHES = ("--repair", "--quick", "--deep")
_DISCARD = "--discard="


def main(words: Sequence[str]) -> int:
    """Check; returns the exit code."""
    logging.basicConfig(level=logging.CRITICAL)  # the findings tell it
    own = [word for word in words if word in _SWITCHES or word.startswith(_DISCARD)]
    try:
        config = Config.load([word for word in words if word not in own])
        options = Options(
            repair="--repair" in own,
            quick="--quick" in own,
            deep="--deep" in own,
            discard=discards(word.removeprefix(_DISCARD) for word in own if word.startswith(_DISCARD)),
        )
        return _check(Paths(config.data_root, config.exec_root), options)
    except (errors.CortenError, OSError) as error:
        _print({"error": str(error)})
        return 2


def _check(paths: Paths, options: Options) -> int:
    if not os.path.isdir(paths.data_root):
        raise errors.NotFound(f"there is no data root {paths.data_root}; name the daemon's with --data-root")
    problems = 0
    with locked(paths.data_root, doing="check the store"):
        for record in findingshape.records(check_offline(paths, options)):
            _print(record)
            problems = record.get("Summary", {}).get("Problems", 0)
    return 1 if problems else 0


def _print(record: object) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()
