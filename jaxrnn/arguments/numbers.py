"""Checks of numbers: counts, sizes, rates."""

from typing import Any, TypeGuard

import numpy as np


def is_number(value: Any) -> bool:
    """Whether it is a real number of Python or NumPy, and no boolean."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is an integer of Python or NumPy, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(call: str, name: str, value: Any) -> int:
    """The number as an int of Python; raises unless it is a whole one of at least 1."""
    if not is_whole(value) or value < 1:
        raise ValueError(f"{call}: {name} is {value!r}, expected a positive int")
    return int(value)


def check_rate(cell: Any, name: str, rate: Any) -> float:
    """The rate as a float of Python; raises unless it is at least 0 and less than 1."""
    if not is_number(rate) or not 0 <= rate < 1:
        raise ValueError(
            f"{type(cell).__name__}: {name} is {rate!r}, expected a number of at least 0 "
            "and less than 1"
        )
    return float(rate)


def check_positive(cell: Any, name: str, value: Any) -> None:
    """Raise unless it is a number above zero."""
    if not is_number(value) or not value > 0:
        raise ValueError(
            f"{type(cell).__name__}: {name} is {value!r}, expected a number above zero"
        )


def check_sizes(cell: Any, **sizes: Any) -> None:
    """Raise unless every size is a positive int; NumPy's ints become Python's."""
    for name, size in sizes.items():
        object.__setattr__(cell, name, check_count(type(cell).__name__, name, size))


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
