"""Medians, ratios, a table to read and JSON to keep."""

import json
import os
import platform
import statistics
from datetime import UTC, datetime
from typing import Any

from bench.engines import NAMES
from bench.group import Group, Medians

FOLDER = os.path.join(os.path.dirname(__file__), "results")


def medians(group: Group, index: int) -> Medians:
    return {
        engine: statistics.median(values[index] for values in rows) for engine, rows in group.values.items() if rows
    }


def rows(groups: list[Group]) -> list[dict[str, Any]]:
    found = []
    for group in groups:
        for index, figure in enumerate(group.figures):
            middle = medians(group, index)
            ratio = {
                name: middle[name] / middle["cortend"] for name in middle if "cortend" in middle and name != "cortend"
            }
            try:
                met = figure.wish.met(middle) if figure.wish.text else None
            except KeyError:  # an engine that the wish needs did not take part
                met = None
            found.append(
                {
                    "figure": figure.name,
                    "through": figure.through,
                    "unit": figure.unit,
                    "medians": middle,
                    "times_faster": ratio,
                    "wanted": figure.wish.text,
                    "met": met,
                    "values": {engine: [row[index] for row in rows] for engine, rows in group.values.items()},
                }
            )
    return found


def table(found: list[dict[str, Any]]) -> str:
    lines = ["| through | figure | " + " | ".join(NAMES) + " | dockerd / corten | podman / corten | wanted | met |"]
    lines.append("|---" * (len(NAMES) + 6) + "|")
    for row in found:
        cells = [row["through"], row["figure"]]
        cells += [shown(row["medians"].get(name), row["unit"]) for name in NAMES]
        cells += [f"{row['times_faster'][name]:.1f}" if name in row["times_faster"] else "" for name in NAMES[1:]]
        cells += [row["wanted"], {True: "yes", False: "**no**", None: ""}[row["met"]]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def machine() -> dict[str, Any]:
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) // 1024
    return {"kernel": platform.release(), "processors": os.cpu_count(), "memory_mib": memory}


def words(facts: dict[str, Any]) -> str:
    return f"Linux {facts['kernel']}, {facts['processors']} processors, {facts['memory_mib'] / 1024:.0f} GiB of memory"


def write(groups: list[Group], versions: dict[str, str]) -> str:
    """Write ``latest.json`` and ``latest.md`` (and a copy by date); gives the table."""
    found = rows(groups)
    now = datetime.now(UTC)
    report = {"when": now.isoformat(timespec="seconds"), "machine": machine(), "versions": versions, "rows": found}
    head = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = f"{head}; {words(machine())}\n\n{table(found)}"
    os.makedirs(FOLDER, exist_ok=True)
    for name in ("latest", now.strftime("%Y%m%d-%H%M%S")):
        with open(f"{FOLDER}/{name}.json", "w") as file:
            json.dump(report, file, indent=1)
        with open(f"{FOLDER}/{name}.md", "w") as file:
            file.write(text)
    return text
