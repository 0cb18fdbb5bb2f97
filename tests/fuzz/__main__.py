"""``python -m tests.fuzz``: the session in its sandbox; exit code 0 when nothing was found."""

import os
import sys

from tests.fuzz import sandbox

if sandbox.MARK not in os.environ:
    words = sandbox.command(sys.argv[1:])
    os.execvpe(words[0], words, sandbox.environment())

sandbox.prepare()

from tests.fuzz.session import main  # noqa: E402 - what it imports looks for temporary places

sys.exit(main())
