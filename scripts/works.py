"""Make README's tables: ``scripts/works.py build/tests.xml README.md``.

What works comes from a pytest report, how fast from ``bench/results/latest.md`` if that is there.
A line per module of ``tests/conformance``: the first line of its docstring says what it covers; the counts are the
report's. A module with a failure is not said to work.
"""

import ast
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from xml.etree import ElementTree

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(REPOSITORY, "tests", "conformance")
MEASURED = os.path.join(REPOSITORY, "bench", "results", "latest.md")


@dataclass
class Count:
    passed: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)


def counts(report: str) -> dict[str, Count]:
    """Module name (``test_run``) -> what became of its tests."""
    found: dict[str, Count] = defaultdict(Count)
    for case in ElementTree.parse(report).iter("testcase"):
        parts = case.get("classname", "").split(".")
        if parts[:2] != ["tests", "conformance"]:
            continue
        count = found[parts[2]]
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed.append(case.get("name", ""))
        elif case.find("skipped") is not None:
            count.skipped += 1
        else:
            count.passed += 1
    return found


def title(module: str) -> str:
    with open(os.path.join(FOLDER, f"{module}.py")) as file:
        text = ast.get_docstring(ast.parse(file.read())) or module
    return text.splitlines()[0].rstrip(".").replace("``", "`")


def table(found: dict[str, Count]) -> str:
    lines = ["| What | State | Tests |", "|---|---|---|"]
    for module, count in sorted(found.items()):
        total = count.passed + len(count.failed)
        state = "works" if not count.failed else f"does not yet: {', '.join(sorted(count.failed))}"
        lines.append(f"| {title(module)} | {state} | {count.passed} of {total} |")
    return "\n".join(lines)


def rewrite(readme: str, section: str, text: str) -> None:
    """Replace what stands between the section's marks."""
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    with open(readme) as file:
        old = file.read()
    head, _, rest = old.partition(begin)
    _, _, tail = rest.partition(end)
    with open(readme, "w") as file:
        file.write(f"{head}{begin}\n{text}\n{end}{tail}")


if __name__ == "__main__":
    found = counts(sys.argv[1])
    if not found:
        sys.exit("works: the report has no conformance tests")
    if len(sys.argv) > 2:
        rewrite(sys.argv[2], "works", table(found))
        if os.path.exists(MEASURED):
            with open(MEASURED) as file:
                rewrite(sys.argv[2], "bench", file.read().strip())
    else:
        print(table(found))
