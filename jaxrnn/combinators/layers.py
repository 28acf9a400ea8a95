"""Cells one above the other."""

from typing import Any, NamedTuple

from ..arguments.keys import Keys
from ..cell import Cell, as_input
from .combinator import Combinator
from .merges import concatenate


class LayersDrive(NamedTuple):
    """What a step of several layers needs besides its carry."""

    x: Any
    first: Any  # the first layer's drive
    keys: Keys | None  # the other layers project inside the step


class _Layers(Combinator):
    """Cells one above the other: what each reads, `feed`, and what is shown, `show`."""

    cells: tuple[Cell, ...]

    def feed(self, x: Any, y: Any) -> Any:
        """The input of a layer: of x, the input of all, and y, the layer below."""
        raise NotImplementedError

    def show(self, *ys: Any) -> Any:
        """The output: of the outputs of all layers."""
        raise NotImplementedError

    def sequence(self, params: tuple, carry: tuple, xs: Any, run: Any) -> tuple:
        carries, ys = [], []
        for index, cell in enumerate(self.cells):
            inputs = run.map(self.feed, xs, ys[-1]) if ys else xs
            out, y = cell.sequence(params[index], carry[index], inputs, run[index])
            carries.append(out)
            ys.append(y)
        return tuple(carries), run.map(self.show, *ys)

    # One step at a time: the layers above the first project inside the step.

    def project(self, params: tuple, x: Any, keys: Keys | None = None) -> LayersDrive:
        first = self.cells[0].project(params[0], x, keys and keys.child(0))
        return LayersDrive(x=x, first=first, keys=keys)

    def step(self, params: tuple, carry: tuple, drive: LayersDrive) -> tuple:
        new, ys = [], []
        for index, cell in enumerate(self.cells):
            inputs, inner = self._inner(index, params, ys, drive)
            new.append(cell.step(params[index], carry[index], inner))
            ys.append(as_input(cell.output(params[index], new[index], inner), inputs))
        return tuple(new)

    def output(self, params: tuple, carry: tuple, drive: LayersDrive) -> Any:
        ys = []
        for index, cell in enumerate(self.cells):
            inputs, inner = self._inner(index, params, ys, drive)
            ys.append(as_input(cell.output(params[index], carry[index], inner), inputs))
        return self.show(*ys)

    def _inner(
        self, index: int, params: tuple, ys: list, drive: LayersDrive
    ) -> tuple[Any, Any]:
        """The input of layer `index`, and its drive."""
        if index == 0:
            return drive.x, drive.first
        inputs = self.feed(drive.x, ys[-1])
        keys = drive.keys and drive.keys.child(index)
        return inputs, self.cells[index].project(params[index], inputs, keys)


class Stack(_Layers):
    """Layers: each cell reads the outputs of the one before it.

        x_(l+1) = y_l        y = y_L

    Params and carry are tuples, one entry a cell. Over a sequence the cells are evaluated
    one after the other, each with its whole sequence at once, so that every layer's
    projection is one product.

    Args:
        cells: a tuple or list of cells, the one that reads x first.

    Raises:
        ValueError: without cells.
        TypeError: if an entry is no cell.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.Stack([jaxrnn.GRU(3, 5), jaxrnn.LSTM(5, 4)])
        >>> params = cell.init(jax.random.key(0))
        >>> (h, (h2, c2)), ys = jaxrnn.unroll(cell, params, jnp.ones((7, 3)))
        >>> print(h.shape, c2.shape, ys.shape)
        (5,) (4,) (7, 4)
    """

    def feed(self, x: Any, y: Any) -> Any:
        return y

    def show(self, *ys: Any) -> Any:
        return ys[-1]


class DenseSkip(_Layers):
    """Layers that all read the input, and whose outputs are all shown.

        x_1 = x        x_(l+1) = [x, y_l]        y = [y_1, ..., y_L]

    Every cell above the first reads x beside the outputs of the one before it. Params and
    carry are tuples, one entry a cell. A. Graves, "Generating sequences with recurrent
    neural networks", 2013, arXiv 1308.0850.

    Args:
        cells: a tuple or list of cells, the one that reads x alone first.

    Raises:
        ValueError: without cells, or at the first evaluation, if x and outputs cannot be
            joined along their last axis.
        TypeError: if an entry is no cell.

    Example:
        >>> import jax, jax.numpy as jnp, jaxrnn
        >>> cell = jaxrnn.DenseSkip((jaxrnn.GRU(3, 5), jaxrnn.GRU(3 + 5, 4)))
        >>> params = cell.init(jax.random.key(0))
        >>> _, ys = jaxrnn.unroll(cell, params, jnp.ones((7, 2, 3)))
        >>> print(ys.shape)
        (7, 2, 9)
    """

    @property
    def input_shape(self) -> Any:
        return self.cells[0].input_shape  # the others read more than x

    def feed(self, x: Any, y: Any) -> Any:
        return concatenate(x, y)

    def show(self, *ys: Any) -> Any:
        return concatenate(*ys)
