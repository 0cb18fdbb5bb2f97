"""Credential helpers: programs called ``docker-credential-NAME`` that keep secrets elsewhere than in a file.

One word as the argument (get, store, erase), the request on standard input, the answer on standard output
(github.com/docker/docker-credential-helpers).
"""

from __future__ import annotations

import json
import subprocess

from corten.errors import CortenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOT_FOUND = "credentials not found in native keychain"
_TOKEN_USER = "<token>"
"""The user name that says that the secret is an identity token."""
_PATIENCE = 300
"""Seconds; a helper may wait for the user to unlock a key ring."""


class HelperError(CortenError):
    """The helper is not there or refuses."""


class Helper:
    """The helper of one name."""

    def __init__(self, name: str) -> None:
        if not name or "/" in name or "\0" in name:
            raise HelperError(f"{name!r} names no credential helper")
        self.program = f"docker-credential-{name}"

    def get(self, server: str) -> tuple[str, str, bool] | None:
        """User name, secret and whether that is an identity token; None when the helper knows none for ``server``."""
        code, output = self._call("get", server)
        if code != 0:
            if output == _NOT_FOUND:
                return None
            raise HelperError(f"error getting credentials - err: exit status {code}, out: `{output}`")
        answer = self._parsed(output)
        username, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
        if not secret:
            return None
        return ("", secret, True) if username == _TOKEN_USER else (username, secret, False)

    def store(self, server: str, username: str, secret: str, *, token: bool = False) -> None:
        """Keep a secret."""
        request = {"ServerURL": server, "Username": _TOKEN_USER if token else username, "Secret": secret}
        self._do("store", json.dumps(request), "storing")

    def erase(self, server: str) -> None:
        """Forget what is kept for ``server``; that there is nothing is no error."""
        self._do("erase", server, "erasing")

    def _do(self, action: str, request: str, doing: str) -> None:
        code, output = self._call(action, request)
        if code != 0 and output != _NOT_FOUND:
            raise HelperError(f"error {doing} credentials - err: exit status {code}, out: `{output}`")

    def _call(self, action: str, request: str) -> tuple[int, str]:
        """The helper's own words go to standard error, as they come."""
        try:
            done = subprocess.run(
                [self.program, action],
                input=request.encode(),
                stdout=subprocess.PIPE,
                check=False,
                timeout=_PATIENCE,
            )
        except FileNotFoundError:
            raise HelperError(f'exec: "{self.program}": executable file not found in $PATH') from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HelperError(f'exec: "{self.program}": {error}') from None
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()

    def _parsed(self, output: str) -> dict[str, Any]:
        try:
            answer = json.loads(output)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise HelperError(f"{self.program} gave what is no JSON object")
        return answer
