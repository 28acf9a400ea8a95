"""Cells and params of the recurrent nodes of an ONNX model."""

from typing import Any

from ...cell import Cell


def load(source: Any, *, node: str | None = None) -> tuple[Cell, Any]:
    """The cell and the params of an ONNX model."""
    raise NotImplementedError
