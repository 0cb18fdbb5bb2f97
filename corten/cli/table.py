"""Tables of text."""

from __future__ import annotations

from corten.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = 3
_MINIMUM = 10
_NARROWEST = 8


def render(rows: Sequence[Sequence[str]], terminal: int | None = None, minimum: int = _MINIMUM) -> str:
    """``rows`` (the first is the heading) as lines with aligned columns, three spaces apart.

    The last column is not padded. With ``terminal``, a number of columns, the widest columns are shortened until every
    line fits. A column takes ``minimum`` characters at least.
    """
    cells = [[visible(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    widths = [max([width(cell) for cell in column]) for column in zip(*cells, strict=True)]
    if terminal is not None:
        _shrink(widths, [_floor(heading) for heading in cells[0]], terminal)
        cells = [[_cut(cell, size) for cell, size in zip(row, widths, strict=True)] for row in cells]
    spans = [max(minimum, size + _GAP) for size in widths[:-1]]
    return "".join([_line(row, spans) for row in cells])


def _line(row: Sequence[str], spans: Sequence[int]) -> str:
    padded = [cell + " " * (size - width(cell)) for cell, size in zip(row, spans, strict=False)]
    return "".join(padded) + row[-1] + "\n"


def _floor(heading: str) -> int:
    """How narrow a column may become: never narrower than its heading, and an id is worthless when cut."""
    return 1 << 30 if heading.endswith("ID") else max(_NARROWEST, width(heading))


def _shrink(widths: list[int], floors: list[int], terminal: int) -> None:
    """Take characters from the widest column, again and again, until the line fits or nothing can give any more."""
    total = sum([max(_MINIMUM, size + _GAP) for size in widths[:-1]]) + widths[-1]
    while total > terminal:
        giving = [index for index, size in enumerate(widths) if size > floors[index]]
        if not giving:
            return
        widths[max(giving, key=widths.__getitem__)] -= 1
        total -= 1


def _cut(cell: str, size: int) -> str:
    return cell if width(cell) <= size else cell[: size - 1] + "…"


def width(text: str) -> int:
    """Columns that ``text`` takes on a terminal."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(1 for char in text if unicodedata.east_asian_width(char) in "WF")
    return len(text) + wide - sum(1 for char in text if unicodedata.combining(char))
