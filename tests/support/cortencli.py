"""The ``corten`` command of this source tree, used like the stock docker CLI."""

import os
import sys

from tests.support.stock import Docker

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Corten(Docker):
    """``corten("ps")`` runs this tree's command; everything else is as in ``Docker``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.program = f"{self.config}/corten"
        with open(self.program, "w") as file:
            file.write(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {ROOT!r})\n")
            file.write("from corten.cli.main import main\nmain()\n")
        os.chmod(self.program, 0o755)
