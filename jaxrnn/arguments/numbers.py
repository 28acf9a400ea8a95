"""Checks of numbers: counts, sizes, rates."""

from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np


def is_number(value: Any) -> bool:
    """Whether it is a real number of Python or NumPy, and no boolean."""
    real = int, float, np.integer, np.floating
    return isinstance(value, real) and not isinstance(value, bool)


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is an integer of Python or NumPy, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def of_python(number: Any) -> int | float:
    """A number of NumPy as Python's, which widens nothing."""
    return int(number) if is_whole(number) else float(number)


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


def check_sizes(cell: Any, **sizes: Any) -> None:
    """Raise unless every size is a positive int; NumPy's ints become Python's."""
    for name, size in sizes.items():
        object.__setattr__(cell, name, check_count(type(cell).__name__, name, size))


def check_numbers(cell: Any, *fields: str) -> None:
    """Raise unless these fields are finite numbers; NumPy's become Python's."""
    _check(cell, fields, lambda value: True, "a finite number")


def check_positive(cell: Any, *fields: str) -> None:
    """Raise unless these are finite numbers above zero; NumPy's become Python's."""
    _check(cell, fields, lambda value: value > 0, "a finite number above zero")


def check_strength(cell: Any, *fields: str) -> None:
    """Raise unless these are finite numbers of at least 0; NumPy's become Python's."""
    _check(cell, fields, lambda value: value >= 0, "a finite number of at least 0")


def check_portions(cell: Any, *fields: str) -> None:
    """Raise unless these are numbers above 0 and at most 1; NumPy's become Python's."""
    expected = "a number above 0 and of at most 1"
    _check(cell, fields, lambda value: 0 < value <= 1, expected)


def _check(
    cell: Any, fields: tuple[str, ...], fits: Callable[[Any], bool], expected: str
) -> None:
    for field in fields:
        value = getattr(cell, field)
        finite = is_number(value) and -np.inf < value < np.inf
        if not finite or not fits(value):
            raise ValueError(
                f"{type(cell).__name__}: {field} is {value!r}, expected {expected}"
            )
        object.__setattr__(cell, field, of_python(value))


def check_flags(cell: Any, *fields: str) -> None:
    """Raise unless these fields are booleans."""
    for field in fields:
        value = getattr(cell, field)
        if not isinstance(value, bool):
            raise ValueError(
                f"{type(cell).__name__}: {field} is {value!r}, expected True or False"
            )
