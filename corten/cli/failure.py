"""How a command fails, and the words for it."""

from __future__ import annotations

from corten.client.error import ApiError


class Failure(Exception):
    """The command failed: ``message`` goes to standard error as it is (nothing when empty), then the exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def explain(error: Exception) -> str:
    """The line for an error: the daemon's words marked as such, and nothing in them that steers a terminal."""
    from corten.cli.escape import visible_lines

    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    text = visible_lines(str(error))
    return f"Error response from daemon: {text}" if isinstance(error, ApiError) else text
