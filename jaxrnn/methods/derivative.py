"""The derivative of a piece of a step, at values that are known."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from .apart import in_one_piece
from .jaxprs import Piece, is_variable, piece, trace


class Linear(NamedTuple):
    """Tangents forward through a piece, or gradients back.

    Args:
        piece: the equations.
        names: what its inputs are: variables, for their values, and integers, for the
            places of the tangents or gradients that come in.
        moves: the inputs that move.
    """

    piece: Piece
    names: tuple[Any, ...]
    moves: Sequence[Any]

    @property
    def reads(self) -> list[Any]:
        return [name for name in self.names if not isinstance(name, int)]

    def __call__(self, values: Mapping[Any, Any], given: Sequence[Any]) -> list[Any]:
        args = [
            given[name] if isinstance(name, int) else values[name] for name in self.names
        ]
        return in_one_piece(self.piece, args)


def push(
    part: Piece, outputs: Sequence[int], moves: Sequence[Any], known: Collection[Any] = ()
) -> Linear:
    """The tangents of some outputs, of those of the inputs that move."""

    def both(function: Callable, values: Sequence[Any], given: Sequence[Any]) -> Any:
        # Not jax.jvp: of an inner loop that would read more than `pull` does.
        results, forward = jax.linearize(function, *values)
        return results, forward(*given)

    return _linear(both, part, outputs, moves, [v.aval for v in moves], known)


def pull(
    part: Piece, outputs: Sequence[int], moves: Sequence[Any], known: Collection[Any] = ()
) -> Linear:
    """The gradients of the inputs that move, of those of some outputs.

    An output that is `known` stands for itself and is not made again: of tanh(z) = h the
    gradient 1 - h^2 needs h and not z.
    """

    def both(function: Callable, values: Sequence[Any], given: Sequence[Any]) -> Any:
        results, back = jax.vjp(function, *values)
        return results, back(list(given))

    given = [part.outputs[i].aval for i in outputs]
    return _linear(both, part, outputs, moves, given, known)


def _linear(
    both: Callable,
    part: Piece,
    outputs: Sequence[int],
    moves: Sequence[Any],
    given: Sequence[Any],
    known: Collection[Any],
) -> Linear:
    rest = [v for v in part.inputs if v not in moves]
    names = [*moves, *rest]

    def flat(*args: Any) -> list[Any]:
        values = dict(zip(names, args, strict=False))

        def restricted(*moving: Any) -> list[Any]:
            every = values | dict(zip(moves, moving, strict=True))
            results = part(*(every[v] for v in part.inputs))
            return [results[i] for i in outputs]

        here = [values[v] for v in moves]
        results, derived = both(restricted, here, args[len(names) :])
        return [*results, *derived]

    closed = trace(flat, *(v.aval for v in names), *given)
    origin = dict(zip(closed.jaxpr.invars, [*names, *range(len(given))], strict=True))
    results = closed.jaxpr.outvars[: len(outputs)]
    made = {
        result: part.outputs[i]
        for result, i in zip(results, outputs, strict=True)
        if is_variable(result) and result not in origin and part.outputs[i] in known
    }
    origin |= made
    derived = piece(closed, closed.jaxpr.outvars[len(outputs) :], made)
    return Linear(derived, tuple(origin[v] for v in derived.inputs), moves)
