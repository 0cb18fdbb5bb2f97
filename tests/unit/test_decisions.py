"""The decisions' files: numbered without gaps, headed with their number, all in the list."""

import re
from pathlib import Path

DIRECTORY = Path(__file__).parents[2] / "docs" / "decisions"


def test_numbers_headings_and_list_agree():
    files = sorted(path for path in DIRECTORY.glob("*.md") if path.name != "README.md")
    wanted = []
    for number, path in enumerate(files, 1):
        assert re.fullmatch(rf"{number:04}-[a-z0-9-]+\.md", path.name), path.name
        heading = path.read_text(encoding="utf-8").splitlines()[0]
        assert heading.startswith(f"# {number}. "), (path.name, heading)
        wanted.append(f"- [{heading.removeprefix('# ')}]({path.name})")
    listed = [line for line in (DIRECTORY / "README.md").read_text(encoding="utf-8").splitlines() if line[:3] == "- ["]
    assert listed == wanted
