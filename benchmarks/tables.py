"""Tables in Markdown, and the way numbers look in them."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

ABSENT = "-"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are numbers."""
    marks = ["---", *["--:"] * (len(header) - 1)]
    lines = [header, marks, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def digits(value: float | None) -> str:
    """Two or three digits, or a dash."""
    if value is None:
        return ABSENT
    if value >= 100:
        return f"{value:.0f}"
    if value >= 0.1:
        return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:.2g}"


def pair(first: float | None, second: float | None) -> str:
    """`first (second)`."""
    return ABSENT if first is None else f"{digits(first)} ({digits(second)})"


def milliseconds(seconds: Sequence[float] | None) -> str:
    """Of every run: `median (minimum)`."""
    if seconds is None:
        return ABSENT
    return pair(1e3 * statistics.median(seconds), 1e3 * min(seconds))


def mebibytes(count: float | None) -> str:
    return digits(None if count is None else count / 2**20)


def processor(machine: dict[str, Any]) -> str:
    """Its name, and its vectors, which a name may not tell."""
    vectors = machine.get("vectors")  # not in records of old
    return f"{machine['cpu']} ({vectors})" if vectors else machine["cpu"]


def environment(data: dict[str, Any]) -> str:
    """One paragraph: on what, with what, when."""
    machine, flags = data["machine"], data["flags"]
    shown = [f"{name} {version}" for name, version in sorted(data["versions"].items())]
    pages = "on" if flags["glibc_huge_pages"] else "off"
    parts = [
        f"{processor(machine)}, {machine['cores']} cores, {machine['system']}",
        ", ".join(shown),
        f"huge pages for malloc {pages}",
        f"XLA_FLAGS {flags['XLA_FLAGS'] or 'not set'}",
        data["date"][:10],
    ]
    return "; ".join(part for part in parts if part) + "."
