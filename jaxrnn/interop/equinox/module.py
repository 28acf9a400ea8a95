"""A module of equinox around a cell."""

from typing import Any

import equinox as eqx
import jax

from ...cell import Cell, check_cell
from ...methods import Scan
from ..calls import Layout, run

NAME = "interop.equinox.RNN"


class RNN(eqx.Module):
    """A cell as a module: `rnn(inputs)` is `unroll(cell, rnn.params, inputs)`.

    One example is `(T, *input_shape)`, and `jax.vmap` adds a batch, as everywhere in
    equinox; batch axes behind the one of time are taken too. `rnn.params` is the pytree
    of `cell.init(key)`, whose arrays `eqx.filter_jit`, `eqx.filter_grad`, optax,
    `eqx.tree_at` and `eqx.tree_serialise_leaves` see; cell and options are static.

    To go on in the next call, take the carry with `return_carry=True` and pass it as
    `initial_carry`: as with equinox's own cells, nothing is kept in the module.

    Args:
        cell: any `Cell`, combinators included.
        key: for `cell.init`.
        time_major: inputs `(T, *batch, *input_shape)`, else `(*batch, T, *input_shape)`.
            Mask, resets and outputs have the same layout; of one example both are equal.
        return_carry: return `(carry, outputs)`, else the outputs.
        reverse: run from the last step, or the last valid one, to the first.
        keep_order: in reverse, outputs in input order, as in all of jaxrnn; else in the
            order of the run, the padding at the end.
        inference: no noise; `eqx.nn.inference_mode` sets it.
        method: how the recurrence is evaluated.

    Raises:
        TypeError: if `cell` is no cell.

    Example:
        >>> import equinox as eqx
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from jaxrnn.interop.equinox import RNN
        >>> rnn = RNN(jaxrnn.GRU(3, 5), key=jax.random.key(0))
        >>> print(jax.vmap(rnn)(jnp.ones((4, 7, 3))).shape)
        (4, 7, 5)
        >>> loss = lambda rnn, xs: jnp.mean(jax.vmap(rnn)(xs) ** 2)
        >>> gradient = eqx.filter_jit(eqx.filter_grad(loss))(rnn, jnp.ones((4, 7, 3)))
        >>> print(gradient.params["kernel"].shape)
        (3, 15)
    """

    params: Any
    cell: Cell = eqx.field(static=True)
    time_major: bool = eqx.field(static=True)
    return_carry: bool = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)
    keep_order: bool = eqx.field(static=True)
    method: Any = eqx.field(static=True)
    inference: bool

    def __init__(
        self,
        cell: Cell,
        *,
        key: jax.Array,
        time_major: bool = True,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = True,
        inference: bool = False,
        method: Any = Scan(),  # noqa: B008 (a frozen value)
    ) -> None:
        check_cell(NAME, cell)
        self.params = cell.init(key)
        self.cell = cell
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.method = method
        self.inference = inference

    def __call__(
        self,
        inputs: Any,
        *,
        initial_carry: Any = None,
        seq_lengths: Any = None,
        mask: Any = None,
        resets: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        inference: bool | None = None,
        key: jax.Array | None = None,
        method: Any = None,
    ) -> Any:
        """Run the cell over the inputs; options that are given replace the module's.

        Args:
            inputs: one sequence, or batches, in the layout of `time_major`.
            initial_carry: the carry before the first step, batch axes first; by default
                `cell.initial_carry(params)`.
            seq_lengths: the number of valid steps of each example; later ones are
                padding, at which outputs are zero.
            mask, resets: for each step, whether it counts, and whether a new sequence
                begins, as `unroll` has them.
            key: for the noise of a cell that has any. Others take one and leave it.

        Returns:
            The outputs, or `(carry, outputs)`.

        Raises:
            ValueError: what `unroll` raises; if the cell draws noise and there is neither
                a key nor `inference`; for a mask in reverse without `keep_order`.
        """

        def chosen(option: Any, own: Any) -> Any:
            return own if option is None else option

        def drawn() -> Any:
            if chosen(inference, self.inference):
                return None
            if key is None:
                raise ValueError(
                    f"{NAME}: {self.cell} draws noise, but there is no key; give key=, "
                    "or evaluate with eqx.nn.inference_mode(model) or inference=True"
                )
            return key

        layout = Layout(
            chosen(time_major, self.time_major),
            chosen(reverse, self.reverse),
            chosen(keep_order, self.keep_order),
        )
        carry, ys = run(
            NAME,
            self.cell,
            self.params,
            inputs,
            initial_carry,
            layout,
            lengths=seq_lengths,
            mask=mask,
            resets=resets,
            key=drawn,
            method=chosen(method, self.method),
        )
        return (carry, ys) if chosen(return_carry, self.return_carry) else ys
