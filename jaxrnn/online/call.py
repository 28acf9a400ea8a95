"""What comes in at the public functions of this room."""

from typing import Any

import jax
import jax.numpy as jnp

from ..arguments import checks
from ..arguments.arrays import native
from ..arguments.keys import typed_key
from ..cell import Cell
from .estimator import Estimator
from .model import Spec, spec_of


def check_loss(name: str, loss: Any) -> None:
    """Raise unless it is a function that a program can be kept for."""
    if isinstance(loss, Cell) or not callable(loss):
        raise TypeError(
            f"{name}: loss is of type {type(loss).__name__}, expected a function "
            "loss(y, target) of one example at one step: it comes first"
        )
    try:
        hash(loss)
    except TypeError as error:
        raise TypeError(
            f"{name}: loss cannot be hashed ({error}), expected a function, of which a "
            "program is kept"
        ) from error


def check_method(name: str, method: Any, method_key: Any) -> Any:
    """The key of a method; raises unless there is one where it is needed."""
    if not isinstance(method, Estimator):
        raise TypeError(
            f"{name}: method is {method!r}, expected RTRL(), SnAp(n), UORO(), EProp(), "
            "RFLO() or OneStep()"
        )
    key = typed_key(name, method_key)
    if method.needs_key and key is None:
        raise ValueError(
            f"{name}: method_key is None, and {method} draws numbers: give it "
            "jax.random.key(seed)"
        )
    return key if method.needs_key else None


def check_targets(name: str, what: str, targets: Any, leading: tuple[int, ...]) -> Any:
    """The targets, whose leaves all begin with the axes of the inputs."""
    targets = native(name, what, targets)
    for leaf in jax.tree.leaves(targets):
        if jnp.shape(leaf)[: len(leading)] != leading:
            raise ValueError(
                f"{name}: {what} has shape {checks.shapes(targets)}, expected {leading} "
                "first, as the inputs: loss gets one target for each example and step"
            )
    return targets


def example(leaf: Any, leading: int) -> jax.ShapeDtypeStruct:
    """What is left of a leaf without its leading axes."""
    return jax.ShapeDtypeStruct(jnp.shape(leaf)[leading:], jnp.result_type(leaf))


def spec_of_batch(
    name: str,
    cell: Cell,
    params: Any,
    carry: Any,
    x: Any,
    key: Any,
    batch: tuple[int, ...],
) -> Spec:
    """The spec of one of a batch; a carry of None is the initial one."""
    first = jax.eval_shape(cell.initial_carry, params)
    if carry is not None:
        first = jax.tree.map(lambda leaf: example(leaf, len(batch)), carry)
    x = jax.tree.map(lambda leaf: example(leaf, len(batch)), x)
    return spec_of(name, cell, params, first, x, key)
