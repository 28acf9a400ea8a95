"""A module of flax.linen around a cell."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import meta

from ...arguments.checks import check_params
from ...cell import Cell, check_cell
from ...methods import Scan
from ...sequence import batched_carry
from ..calls import Layout, cast, check_kept, check_stateful, leading, run
from ..names import named, params_like, renamed, unnamed

NAME = "interop.linen.RNN"


class RNN(nn.Module):
    """A cell as a module, where flax's own `nn.RNN` stands.

    Inputs are `(*batch, T, *input_shape)`, and mask, resets and outputs have the same
    layout; `time_major=True` puts T first. What it computes is `unroll`: outputs at
    padding are zeros, where flax leaves what its cell makes of it, and an example of
    length 0 keeps its carry. Carries are the cell's, an LSTM's
    `LSTMCarry(h, c)` where flax has (c, h), whatever the layout with batch axes first.

    Every leaf of `cell.init` is a leaf of the collection "params", in nested dicts:
    `kernel`, ...; those of a `Stack` in "layers_0", ..., of a `Bidirectional` in
    "forward" and "backward". It stands under `nn.jit`, `nn.remat`, `nn.vmap`, and in
    `nn.Bidirectional` as either direction.

    Args:
        cell: any `Cell`, combinators included.
        time_major, return_carry, reverse: as flax's.
        keep_order: as flax's: in reverse, outputs come in the order of the run unless it
            is True; padding stays at the end. (jaxrnn's own order is True.)
        deterministic: no noise. A cell that draws any needs it here or in the call, and
            unless it is True the rng "dropout"; others need neither.
        stateful: each call goes on from the carry that the one before has left in the
            collection "carry": apply with `mutable=["carry"]`. `init` leaves the initial
            carry there; without one, or with `initial_carry`, a call begins anew.
        param_dtype: the dtype of floating params; by default what `cell.init` gives.
        boxed: a function of a param's path, such as "layers_0/kernel", and its array. It
            gives what is kept: the array, or `nn.Partitioned(array, (None, "units"))`.
        method: how the recurrence is evaluated.

    Raises:
        TypeError: if `cell` is no cell.

    Example:
        >>> import flax.linen as nn
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from jaxrnn.interop.linen import RNN
        >>> rnn = RNN(jaxrnn.Stack((jaxrnn.LSTM(3, 5), jaxrnn.Dense(5, 2))))
        >>> xs = jnp.ones((4, 7, 3))
        >>> variables = rnn.init(jax.random.key(0), xs)
        >>> print(jax.tree.map(jnp.shape, variables["params"]["layers_1"]))
        {'bias': (2,), 'kernel': (5, 2)}
        >>> print(rnn.apply(variables, xs, seq_lengths=jnp.array([7, 3, 0, 5])).shape)
        (4, 7, 2)
    """

    cell: Cell
    time_major: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False
    deterministic: bool | None = None
    stateful: bool = False
    param_dtype: Any = None
    boxed: Callable[[str, jax.Array], Any] | None = None
    method: Any = Scan()

    @nn.compact
    def __call__(
        self,
        inputs: Any,
        *,
        initial_carry: Any = None,
        init_key: Any = None,
        seq_lengths: Any = None,
        mask: Any = None,
        resets: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        deterministic: bool | None = None,
        method: Any = None,
    ) -> Any:
        """Run the cell over the inputs; options that are given replace the module's.

        Args:
            inputs: in the layout of `time_major`, any number of batch axes.
            initial_carry: the carry before the first step, batch axes first; by default
                `cell.initial_carry(params)`.
            init_key: taken, since flax's `nn.Bidirectional` passes it; no initial carry
                of a cell is drawn.
            seq_lengths: `(*batch)`, the number of valid steps of each example.
            mask, resets: for each step, whether it counts, and whether a new sequence
                begins, as `unroll` has them.

        Returns:
            The outputs, or `(carry, outputs)`.

        Raises:
            ValueError: what `unroll` raises; for a mask in reverse without `keep_order`;
                for inputs of another batch than the carry that is kept.
        """

        def chosen(option: Any, own: Any) -> Any:
            return own if option is None else option

        def drawn() -> Any:
            if nn.merge_param("deterministic", self.deterministic, deterministic):
                return None
            if self.is_initializing() and not self.has_rng("dropout"):
                return None  # what is initialised does not depend on noise
            return self.make_rng("dropout")

        check_cell(NAME, self.cell)
        layout = Layout(
            chosen(time_major, self.time_major),
            chosen(reverse, self.reverse),
            chosen(keep_order, self.keep_order),
        )
        params = self._params()
        carry = initial_carry
        if self.stateful:
            _, *batch = leading(NAME, self.cell, inputs, layout.time_major)
            check_stateful(NAME, self.cell, params)
            start = batched_carry(self.cell, params, tuple(batch))
            if carry is None:
                carry = self._kept(params, start, tuple(batch))
        carry, ys = run(
            NAME,
            self.cell,
            params,
            inputs,
            carry,
            layout,
            lengths=seq_lengths,
            mask=mask,
            resets=resets,
            key=drawn,
            method=chosen(method, self.method),
        )
        if self.stateful:
            kept = start if self.is_initializing() else carry
            for name, value in named(self.cell, kept, "h").items():
                self.put_variable("carry", name, value)
        return (carry, ys) if chosen(return_carry, self.return_carry) else ys

    @nn.nowrap
    def cell_params(self, params: Any) -> Any:
        """The module's part of the collection "params" as the cell has it: for
        `gradient_norms`, `attend` and all of jaxrnn that takes a cell and its params."""
        like = params_like(self.cell)
        return unnamed(self.cell, meta.unbox(params), like, "weight")

    @nn.nowrap
    def module_params(self, params: Any) -> dict[str, Any]:
        """The inverse of `cell_params`, for params that come from elsewhere, such as
        `interop.torch.load`."""
        params = check_params(NAME, self.cell, params)
        return renamed(named(self.cell, params, "weight"), self._prepared)

    def _params(self) -> Any:
        shapes = params_like(self.cell)
        fresh = named(self.cell, shapes, "weight")
        absent = any(not self.has_variable("params", name) for name in fresh)
        if absent and self.is_mutable_collection("params"):
            # All at once: a leaf may have been drawn to fit another one.
            drawn = self.cell.init(self.make_rng("params"))
            fresh = self.module_params(drawn)

        def entry(name: str) -> Any:
            zeros = functools.partial(jax.tree.map, lambda leaf: jnp.zeros(leaf.shape))
            return lambda _: fresh[name] if absent else zeros(fresh[name])

        entries = {name: self.param(name, entry(name)) for name in fresh}
        return self.cell_params(entries)

    def _prepared(self, path: str, leaf: jax.Array) -> Any:
        leaf = cast(leaf, self.param_dtype)
        return leaf if self.boxed is None else self.boxed(path, leaf)

    def _kept(self, params: Any, start: Any, batch: tuple[int, ...]) -> Any:
        names = named(self.cell, start, "h")
        if not all(self.has_variable("carry", name) for name in names):
            return None
        kept = {name: self.get_variable("carry", name) for name in names}
        kept = unnamed(self.cell, meta.unbox(kept), start, "h")
        remedy = 'leave the collection "carry" out to begin anew'
        return check_kept(NAME, self.cell, params, kept, batch, remedy)
