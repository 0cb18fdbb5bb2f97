"""The firewall through libnftables (libnftables(3)): commands as text in nft(8)'s language, one transaction a call.

A command takes 0.1 ms here where a spawned ``nft`` takes several. One context serves all threads, one at a time; the
library does its work without the interpreter's lock.
"""

import ctypes
import json
import threading
from typing import Any

from corten import errors

_JSON_OUTPUT = 1 << 4


class Nftables:
    """A context in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        try:
            library = ctypes.CDLL("libnftables.so.1")
        except OSError as error:
            raise errors.NotSupported(f"libnftables cannot be loaded ({error}): install libnftables1") from error
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
        for function in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
            getattr(library, function).argtypes = (ctypes.c_void_p,)
        for function in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(library, function).argtypes = (ctypes.c_void_p,)
            getattr(library, function).restype = ctypes.c_char_p
        library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        library.nft_ctx_output_set_flags.argtypes = (ctypes.c_void_p, ctypes.c_uint)
        self._library = library
        self._lock = threading.Lock()
        self._context = library.nft_ctx_new(0)
        if not self._context:
            raise errors.System("libnftables: no context could be made")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> None:
        """Run *commands* as one transaction: all or nothing. Raises ``errors.System`` with the library's message."""
        self._run(commands, 0)

    def query(self, command: str) -> list[dict[str, Any]]:
        """The objects that a "list" command names, as libnftables-json(5) writes them; [] if there is no such thing."""
        try:
            text = self._run(command, _JSON_OUTPUT)
        except Missing:
            return []
        return list(json.loads(text)["nftables"]) if text else []

    def close(self) -> None:
        with self._lock:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def _run(self, commands: str, flags: int) -> str:
        with self._lock:
            if self._context is None:
                raise errors.Unavailable("the firewall is closed")
            self._library.nft_ctx_output_set_flags(self._context, flags)
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            output = self._library.nft_ctx_get_output_buffer(self._context)
            problem = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            message = problem.decode(errors="replace").strip()
            kind = Missing if "No such file or directory" in message else errors.System
            raise kind(f"nftables: {message}")
        return str(output.decode(errors="replace"))


class Missing(errors.System):
    """A table, chain, set or element that a command named does not exist."""
