"""How what no cell can express is refused: in one line."""

from typing import Any, NoReturn

LOAD, DUMP = "interop.keras.load", "interop.keras.dump"

BY_CELL = "to take its weights alone, give cell="


def refuse(layer: Any, what: str, remedy: str = BY_CELL) -> NoReturn:
    """Raise for a layer of keras, which is named."""
    name = f"{type(layer).__name__} {getattr(layer, 'name', '')!r}"
    raise ValueError(f"{LOAD}: {name} {what}; {remedy}")
