"""Who is at the other end of a connection, as the kernel or the TLS layer vouches for it."""

import asyncio
import hashlib
import os
import socket
import struct
from typing import Any

NO_LOGIN = (1 << 32) - 1
"""``loginuid`` of a process that no login started (audit(7))."""
_CREDENTIALS = struct.Struct("iII")


def of(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """``kind`` unix: uid, gid, pid, and what the process was called then. ``kind`` tcp: address, certificate."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        pid, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return {"kind": "unix", "uid": uid, "gid": gid, "pid": pid, **_process(pid)}
    address = transport.get_extra_info("peername") or ("",)
    found: dict[str, Any] = {"kind": "tcp", "address": ":".join(str(part) for part in address[:2])}
    tls = transport.get_extra_info("ssl_object")
    if tls is not None:
        found["kind"] = "tls"
        certificate = tls.getpeercert(binary_form=True)
        if certificate:
            names = tls.getpeercert() or {}
            found["subject"] = ", ".join(f"{key}={value}" for part in names.get("subject", ()) for key, value in part)
            found["alternative_names"] = [f"{kind}:{name}" for kind, name in names.get("subjectAltName", ())]
            found["fingerprint"] = "sha256:" + hashlib.sha256(certificate).hexdigest()
    return found


def _process(pid: int) -> dict[str, Any]:
    """What helps a reader; unlike the ids a process chooses its own name. Arguments may hold secrets and stay out."""
    found: dict[str, Any] = {}
    if pid <= 0:  # of a pid namespace that this one does not see
        return found
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            found["command"] = file.read(64).rstrip("\n")
        found["program"] = os.readlink(f"/proc/{pid}/exe").encode(errors="replace").decode()
        with open(f"/proc/{pid}/loginuid", encoding="ascii") as file:
            login = int(file.read(16))
        if login != NO_LOGIN:
            found["login_uid"] = login
    except (OSError, ValueError):
        pass  # it has ended, or the kernel keeps no login ids
    return found
