"""A module of flax.nnx around a cell."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ...arguments.checks import check_params
from ...cell import Cell, check_cell
from ...methods import Scan
from ...sequence import batched_carry
from ..calls import Layout, cast, check_kept, check_stateful, leading, run
from ..names import named, params_like, unnamed

NAME = "interop.nnx.RNN"


class Carry(nnx.Variable):
    """What a stateful module keeps between calls: a type to filter by.

    Example:
        >>> from flax import nnx
        >>> import jax.numpy as jnp, jaxrnn
        >>> from jaxrnn.interop.nnx import RNN, Carry
        >>> rnn = RNN(jaxrnn.GRU(3, 5), rngs=nnx.Rngs(0), stateful=True)
        >>> _ = rnn(jnp.ones((4, 7, 3)))
        >>> graph, params, carry = nnx.split(rnn, nnx.Param, ...)
        >>> print(nnx.state(rnn, Carry)["carry"]["h"].shape)
        (4, 5)
    """


class RNN(nnx.Module):
    """A cell as a module, where flax's own `nnx.RNN` stands.

    Inputs are `(*batch, T, *input_shape)`, and mask, resets and outputs have the same
    layout; `time_major=True` puts T first. What it computes is `unroll`: outputs at
    padding are zeros, where flax leaves what its cell makes of it, and an example of
    length 0 keeps its carry. Carries are the cell's, an LSTM's
    `LSTMCarry(h, c)` where flax has (c, h), whatever the layout with batch axes first.

    Every leaf of `cell.init` is an `nnx.Param` in `rnn.params`, such as
    `rnn.params["kernel"]`; those of a `Stack` in "layers_0", ..., of a `Bidirectional` in
    "forward" and "backward". Without noise and a carry of its own a call changes nothing,
    and so runs under every transform of JAX too, `jax.jit` around the module included.

    Args:
        cell: any `Cell`, combinators included.
        rngs: "params" for `cell.init`; "dropout", if there is one, for noise.
        time_major, return_carry, reverse: as flax's.
        keep_order: as flax's: in reverse, outputs come in the order of the run unless it
            is True; padding stays at the end. (jaxrnn's own order is True.)
        deterministic: no noise; `model.eval()` and `model.train()` set it.
        stateful: each call goes on from the carry that the one before has left in
            `rnn.carry`, variables of the type `Carry`; `reset_carry` starts anew.
        param_dtype: the dtype of floating params; by default what `cell.init` gives.
        method: how the recurrence is evaluated.

    Raises:
        TypeError: if `cell` is no cell.
        ValueError: if it is stateful and its carry cannot go on in the next call.

    Example:
        >>> from flax import nnx
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> from jaxrnn.interop.nnx import RNN
        >>> rnn = RNN(jaxrnn.LSTM(3, 5), rngs=nnx.Rngs(0))
        >>> print(jax.jit(lambda xs: rnn(xs))(jnp.ones((4, 7, 3))).shape)
        (4, 7, 5)
        >>> gradient = nnx.grad(lambda rnn: jnp.sum(rnn(jnp.ones((7, 3)))))(rnn)
        >>> print(gradient["params"]["kernel"].shape)
        (3, 20)
    """

    def __init__(
        self,
        cell: Cell,
        *,
        rngs: nnx.Rngs,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        deterministic: bool = False,
        stateful: bool = False,
        param_dtype: Any = None,
        method: Any = Scan(),  # noqa: B008 (a frozen value)
    ) -> None:
        check_cell(NAME, cell)
        self.cell = cell
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        self.deterministic = deterministic
        self.stateful = stateful
        self.method = method
        params = cell.init(rngs.params())
        if stateful:
            check_stateful(NAME, cell, params)
        self.params = _variables(
            nnx.Param, named(cell, cast(params, param_dtype), "weight")
        )
        self.carry = nnx.data(None)
        noise = "dropout" in rngs or "default" in rngs
        self.rngs = nnx.data(rngs.dropout.fork() if noise else None)

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
        deterministic: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        method: Any = None,
    ) -> Any:
        """Run the cell over the inputs; options that are given replace the module's.

        Args:
            inputs: in the layout of `time_major`, any number of batch axes.
            initial_carry: the carry before the first step, batch axes first; by default
                `cell.initial_carry(params)`.
            seq_lengths: `(*batch)`, the number of valid steps of each example.
            mask, resets: for each step, whether it counts, and whether a new sequence
                begins, as `unroll` has them.
            rngs: for noise, in place of the module's: its stream "dropout", or a stream.
                One of flax's for initial carries is left, as no carry of a cell is drawn.

        Returns:
            The outputs, or `(carry, outputs)`.

        Raises:
            ValueError: what `unroll` raises; for a mask in reverse without `keep_order`;
                if the cell draws noise and there are no rngs for it; for inputs of
                another batch than the carry that is kept.
        """

        def chosen(option: Any, own: Any) -> Any:
            return own if option is None else option

        def drawn() -> Any:
            if chosen(deterministic, self.deterministic):
                return None
            stream = rngs.dropout if isinstance(rngs, nnx.Rngs) else rngs
            if stream is None or stream.tag == "carry":
                stream = self.rngs
            if stream is None:
                raise ValueError(
                    f"{NAME}: {self.cell} draws noise, but there are no rngs for it; "
                    "make the module with nnx.Rngs(params=0, dropout=1), give rngs=, or "
                    "evaluate with model.eval() or deterministic=True"
                )
            return stream()

        layout = Layout(
            chosen(time_major, self.time_major),
            chosen(reverse, self.reverse),
            chosen(keep_order, self.keep_order),
        )
        params = self._cell_params()
        carry = initial_carry
        if carry is None and self.carry is not None:
            _, *batch = leading(NAME, self.cell, inputs, layout.time_major)
            carry = self._kept(params, tuple(batch))
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
            self._keep(carry)
        return (carry, ys) if chosen(return_carry, self.return_carry) else ys

    def reset_carry(self, batch_shape: tuple[int, ...] | None = None) -> None:
        """Start anew: the next call begins with the initial carry.

        Args:
            batch_shape: the batch axes of the next inputs. The carry is then made at
                once, for transforms that take no new variables; without, by the next
                call, for whatever batch it has.

        Raises:
            ValueError: if the module is not stateful.
        """
        if not self.stateful:
            raise ValueError(f"{NAME}: reset_carry of a module made with stateful=False")
        self.carry = nnx.data(None)
        if batch_shape is not None:
            self._keep(batched_carry(self.cell, self._cell_params(), batch_shape))

    def cell_params(self) -> Any:
        """The arrays of `rnn.params` as the cell has them: for `gradient_norms`, `attend`
        and all of jaxrnn that takes a cell and its params."""
        return self._cell_params()

    def set_cell_params(self, params: Any) -> None:
        """Put params of the cell in, such as those of `interop.torch.load`.

        Raises:
            ValueError: if they have not the cell's structure and shapes.
        """
        params = check_params(NAME, self.cell, jax.tree.map(jnp.asarray, params))
        _set(self.params, named(self.cell, params, "weight"))

    def _cell_params(self) -> Any:  # `nnx.tabulate` makes a row of every public method
        return unnamed(self.cell, _arrays(self.params), params_like(self.cell), "weight")

    def _kept(self, params: Any, batch: tuple[int, ...]) -> Any:
        like = jax.eval_shape(self.cell.initial_carry, params)
        kept = unnamed(self.cell, _arrays(self.carry), like, "h")
        remedy = f"begin anew with reset_carry(), or reset_carry({batch})"
        return check_kept(NAME, self.cell, params, kept, batch, remedy)

    def _keep(self, carry: Any) -> None:
        names = named(self.cell, carry, "h")
        if self.carry is None:
            self.carry = _variables(Carry, names)
        else:
            _set(self.carry, names)


def _variables(kind: type[nnx.Variable], names: Any) -> Any:
    # In plain dicts: `nnx.tabulate` cannot see into the methods of an `nnx.Dict`.
    return nnx.data(jax.tree.map(kind, names))


def _arrays(place: Any) -> Any:
    if isinstance(place, nnx.Variable):
        return place.get_value()
    return {name: _arrays(inner) for name, inner in place.items()}


def _set(place: Any, names: Any) -> None:
    if isinstance(place, nnx.Variable):
        place.set_value(names)
        return
    for name, inner in names.items():
        _set(place[name], inner)
