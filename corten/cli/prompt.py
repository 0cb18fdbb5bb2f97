"""Questions to the user on the terminal."""

from __future__ import annotations

import sys


def line(question: str) -> str:
    """The answer without white space round it. EOFError when the terminal is closed instead."""
    sys.stdout.write(question)
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise EOFError
    return answer.strip()


def secret(question: str) -> str:
    """As ``line``, without showing what is typed; spaces belong to the answer."""
    import termios

    before = termios.tcgetattr(0)
    silent = list(before)
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(0, termios.TCSAFLUSH, silent)
        sys.stdout.write(question)
        sys.stdout.flush()
        answer = sys.stdin.readline()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        sys.stdout.write("\n")
    if not answer:
        raise EOFError
    return answer.rstrip("\r\n")
