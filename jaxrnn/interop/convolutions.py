"""What ConvLSTMs of flax and haiku are told of their convolutions: one size, as it is."""

from collections.abc import Sequence
from typing import Any

from ..cells import ConvLSTM
from .options import check_cell


def everywhere(value: Any, axes: int) -> tuple:
    """A number, or one for each axis, as one for each."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * axes


def is_same(padding: Any, size: Sequence[int]) -> bool:
    """Whether it is what "SAME" is at strides of one."""
    if isinstance(padding, str):
        return padding == "SAME"
    pairs = [
        (pair, pair) if isinstance(pair, int) else tuple(pair)
        for pair in everywhere(padding, len(size))
    ]
    return pairs == [((n - 1) // 2, n // 2) for n in size]


def check_convolutions(call: str, cell: ConvLSTM, target: str) -> tuple[int, ...]:
    """The size of both kernels; raises for options that the target has not."""
    free = "kernel_size", "recurrent_kernel_size", "padding", "use_bias"
    check_cell(call, cell, target, **dict.fromkeys(free, ...))
    axes = len(cell.input_shape) - 1
    size = everywhere(cell.kernel_size, axes)
    recurrent = cell.recurrent_kernel_size
    other = recurrent is not None and everywhere(recurrent, axes) != size
    if other or not is_same(cell.padding, size):
        raise ValueError(
            f"{call}: {target} has one kernel_size, and padding='SAME', and {cell} has "
            "others"
        )
    return size
