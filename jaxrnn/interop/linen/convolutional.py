"""The ConvLSTMCell of flax.linen, in and out."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ...cells import ConvLSTM
from ...wrappers import TwoBiases
from ..convolutions import check_convolutions, everywhere, is_same
from ..forgetting import added, sorted_blocks
from ..layers import Layer
from .reading import LOAD, Given, Source


def read(source: Source, given: Given) -> Layer:
    module, where = source.module, source.where
    size = tuple(module.kernel_size)
    strides, padding = module.strides, module.padding
    if strides is not None and set(everywhere(strides, len(size))) != {1}:
        raise ValueError(
            f"{LOAD}: {where}.strides is {strides!r}, which h is moved with too, so that "
            "it has fewer places at every step; build it with strides=None"
        )
    if not is_same(padding, size):
        raise ValueError(
            f"{LOAD}: {where}.padding is {padding!r}, expected 'SAME': in cells.ConvLSTM "
            "h keeps its places, with zeros around"
        )
    places = given.places
    if places is None:
        raise ValueError(
            f"{LOAD}: {where} is a ConvLSTMCell, whose weights do not tell the places of "
            f"x: give places=, {len(size)} of them"
        )
    if not isinstance(places, Sequence) or len(places) != len(size):
        raise ValueError(
            f"{LOAD}: places is {places!r}, expected {len(size)} of them, as {where} has "
            f"kernel_size={size}"
        )
    leaves = "kernel bias" if module.use_bias else "kernel"
    source.expect_gates(ih=leaves, hh=leaves)
    kernel = sorted_blocks(source.blocks("ih", "kernel"))
    params = {
        "kernel": kernel,
        "recurrent_kernel": sorted_blocks(source.blocks("hh", "kernel")),
    }
    shape = (*places, kernel.shape[-2])
    cell = ConvLSTM(shape, module.features, kernel_size=size)
    if not module.use_bias:  # nor is it then nothing that flax adds to f
        zeros = jnp.zeros(kernel.shape[-1:], kernel.dtype)
        return cell, params | {"bias": added(zeros, 1)}
    first, second = (sorted_blocks(source.blocks(name, "bias")) for name in ("ih", "hh"))
    if given.split:
        biases = {"bias": added(first, 1), "recurrent_bias": second}
        return TwoBiases(cell), params | biases
    return cell, params | {"bias": added(first + second, 1)}


def write(call: str, cell: ConvLSTM, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    target, kernel = "flax's ConvLSTMCell", params["kernel"]
    size = check_convolutions(call, cell, target)
    zeros = jnp.zeros(kernel.shape[-1:], kernel.dtype)
    kernels = kernel, params["recurrent_kernel"]
    biases = (
        added(params.get("bias", zeros), -1),
        params.get("recurrent_bias", zeros),
    )
    tree = {
        name: {"kernel": sorted_blocks(own), "bias": sorted_blocks(bias)}
        for name, own, bias in zip(("ih", "hh"), kernels, biases, strict=True)
    }
    return nn.ConvLSTMCell(cell.hidden_size, size, param_dtype=kernel.dtype), tree
