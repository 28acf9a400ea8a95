"""A run over all of time: what comes in, what comes out, and how it is planned."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import unmapped_aval

from .bptt import Passes
from .hoisting import is_cheap
from .levels import Level, Signature
from .program import Program
from .segments import near, within
from .sizes import segment_length, shows_little
from .units import gather_on


class Whole(NamedTuple):
    """A run over all of time.

    Args:
        program: of the cell.
        segment: steps in a segment; None chooses.
        truncate: no gradient crosses a multiple of so many steps.
        avals: of the arguments: params, carry, inputs.
        keeps: whether what the derivative reads is among the results.
        moving: the numbers of the arguments that have tangents.
        copies: how many models are computed side by side.
        devices: over how many of them the compiler spreads the program, on its own.
        mesh: that they form, if it is known.
        processor: whether it is compiled for a processor, not an accelerator.
    """

    program: Program
    segment: int | None
    truncate: int | None
    avals: tuple[Any, ...]
    keeps: bool = False
    moving: tuple[int, ...] = ()
    copies: int = 1
    devices: int = 1
    mesh: Any = None
    processor: bool = False

    @property
    def kinds(self) -> list[str]:
        """Of the arguments: the same at all steps, in the loop, or stacked over time."""
        params, carry = len(self.program.of_params), self.program.size
        timed = len(self.avals) - params - carry
        return ["fixed"] * params + ["carry"] * carry + ["timed"] * timed

    @property
    def steps(self) -> Any:
        return self.avals[-1].shape[0]

    def split(self, args: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """What belongs to the arguments, as params, carry and inputs."""
        params = len(self.program.of_params)
        carry = params + self.program.size
        return list(args[:params]), list(args[params:carry]), list(args[carry:])

    @property
    def kept(self) -> list[Any]:
        """Shapes of what the derivative reads: all carries, and the taps' values."""
        plan = self.program.plan
        taps = [tap.value for tap in plan.taps] if plan.save else []
        return [self._over_time(v.aval) for v in (*plan.carry, *taps)]

    @property
    def results(self) -> list[Any]:
        """Shapes of the final carry, of the outputs and of what is kept."""
        final = [v.aval for v in self.program.plan.carry]
        ys = [self._over_time(aval) for aval in self.program.of_ys]
        return final + ys + (self.kept if self.keeps else [])

    @property
    def result_kinds(self) -> list[str]:
        size = self.program.size
        return ["carry"] * size + ["timed"] * (len(self.results) - size)

    def _over_time(self, aval: Any) -> Any:
        return unmapped_aval(self.steps, 0, aval)

    def shared_axis(self) -> int | None:
        """The batch axis of which each device may have a part: the largest that fits."""
        sizes = self.avals[-1].shape[1 : 1 + self.program.batch_ndim]
        if self.devices == 1 or not all(isinstance(size, int) for size in sizes):
            return None
        if self.program.convolves:
            return None
        fits = [i for i, size in enumerate(sizes) if size and size % self.devices == 0]
        return max(fits, key=lambda i: sizes[i], default=None)

    def passes(self) -> Passes:
        """With segments that suit the shapes."""
        if self.segment is not None:
            length = self.segment
        elif self.devices > 1 and self.truncate is None and self.program.convolves:
            # No groups of examples: sums over devices then stand after the one segment.
            length = self.steps
        else:
            wanted, steps = segment_length(self.program, self.copies), self.steps
            if self.truncate is None:
                length = near(steps, wanted)
            else:
                known = isinstance(steps, int) and wanted is not None
                length = within(self.truncate, min(wanted, steps) if known else wanted)
        gather = gather_on(self.mesh, self.program.batch_ndim)
        return Passes(self.program, length, self.truncate, gather)

    def hoists(self) -> bool:
        """Whether the forward pass makes the drive before its loop, a segment at once.

        An accelerator starts every product of a loop anew, models side by side have
        products of their own kind, and weights that are joined may be spread over devices
        by their rows; else `hoisting` knows.
        """
        alone = self.copies == self.devices == 1 and self.mesh is None
        alone = alone and self.segment is None
        return not (self.processor and alone and is_cheap(self.program))

    def shows(self) -> bool:
        """Whether the loop of the forward pass makes the outputs, not all at once after.

        Not on an accelerator, as above; nor over several devices, where a product of an
        output may have to be gathered.
        """
        return self.processor and self.devices == 1 and shows_little(self.program)


def floating(whole: Whole) -> list[bool]:
    return [jnp.issubdtype(aval.dtype, jnp.inexact) for aval in whole.results]


def some(values: Sequence[Any], which: Sequence[bool]) -> list[Any]:
    return [value for value, one in zip(values, which, strict=True) if one]


def tangent_kinds(whole: Whole) -> list[str]:
    kept = whole._replace(keeps=True).result_kinds[-len(whole.kept) :]
    return [*whole.kinds, *kept, *(whole.kinds[i] for i in whole.moving)]


def parts(whole: Whole, args: Sequence[Any]) -> tuple[Any, Any, Sequence[Any]]:
    """The primals, what is kept, and what else there is."""
    count, size = len(whole.avals), whole.program.size
    kept, rest = args[count:][: len(whole.kept)], args[count + len(whole.kept) :]
    return whole.split(args[:count]), (list(kept[:size]), list(kept[size:])), rest


def _every(flags: Sequence[Any]) -> Callable[[Level], Sequence[bool]]:
    return lambda level: [True] * len(flags)


def forward_signature(whole: Whole) -> Signature:
    kinds = whole.result_kinds
    return Signature(whole.kinds, kinds, lambda level: level.flags, _every(kinds))


def tangent_signature(whole: Whole) -> Signature:
    kinds = some(whole.result_kinds, floating(whole))
    flags = lambda level: level.flags  # noqa: E731
    return Signature(tangent_kinds(whole), kinds, flags, _every(kinds), tangents=True)


def gradient_signature(whole: Whole, *, seen: Sequence[bool]) -> Signature:
    count = len(whole.avals) + len(whole.kept)
    given = some(some(whole.result_kinds, floating(whole)), seen)
    return Signature(
        [*tangent_kinds(whole)[:count], *given],
        [whole.kinds[i] for i in whole.moving],
        lambda level: [*level.flags[:count], *(True for _ in given)],
        lambda level: level.flags[count:],
        gradients=True,
    )
