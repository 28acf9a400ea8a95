"""Fields that say how much of something is taken: portions of it, or strengths."""

from typing import Any

from ...arguments.numbers import is_number


def check_portions(cell: Any, *fields: str) -> None:
    """Raise unless each of these fields is a number above 0 and at most 1."""
    for field in fields:
        value = getattr(cell, field)
        if not is_number(value) or not 0 < value <= 1:
            raise ValueError(
                f"{type(cell).__name__}: {field} is {value!r}, expected a number above 0 "
                "and of at most 1"
            )


def check_strength(cell: Any, field: str) -> None:
    """Raise unless this field is a finite number of at least 0."""
    value = getattr(cell, field)
    if not is_number(value) or not 0 <= value < float("inf"):
        raise ValueError(
            f"{type(cell).__name__}: {field} is {value!r}, expected a number of at least "
            "0"
        )
