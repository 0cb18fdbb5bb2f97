"""Published and exposed ports as ``corten ps`` shows them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def published(ports: Iterable[dict[str, Any]]) -> str:
    """One text for all ports: ``0.0.0.0:8080->80/tcp, 90-91/tcp``.

    Neighbouring ports that are mapped to themselves, or not at all, become a range; every other mapping stands for
    itself, after the ranges.
    """
    open_ranges: dict[str, list[int]] = {}
    done: list[str] = []
    mappings: list[str] = []
    for port in sorted(ports, key=_order):
        private, address, kind = port["PrivatePort"], port.get("IP") or "", port["Type"]
        public = port.get("PublicPort") or 0
        if address and public != private:
            mappings.append(f"{join(address, str(public))}->{private}/{kind}")
            continue
        key = f"{address}/{kind}"
        current = open_ranges.get(key)
        if current is not None and current[1] + 1 == private:
            current[1] = private
            continue
        if current is not None:
            done.append(_range(key, *current))
        open_ranges[key] = [private, private]
    done.extend(_range(key, *bounds) for key, bounds in open_ranges.items())
    return ", ".join(done + mappings)


def _order(port: dict[str, Any]) -> tuple[int, str, int, str]:
    return port["PrivatePort"], port.get("IP") or "", port.get("PublicPort") or 0, port["Type"]


def _range(key: str, first: int, last: int) -> str:
    address, _, kind = key.partition("/")
    ports = str(first) if first == last else f"{first}-{last}"
    return f"{join(address, ports)}->{ports}/{kind}" if address else f"{ports}/{kind}"


def join(address: str, port: str) -> str:
    """``address:port``, with brackets for IPv6."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
