"""What is decided by the number of bytes that a step has."""

from .program import Program
from .segments import bytes_of

# Bytes; the second level of a processor's cache, or a part of the third.
CACHE = 2 * 2**20

# Many by few. Forwards, outputs made of a segment's carries and made in the loop, in ms
# of one core of an AMD EPYC with AVX-512, with the carry's size by the output's: at 100,
# 32, 128, 128, MLSTM (128) 19.7 and 10.2, DeltaNet (128) 25.0 and 15.3, S4D (64) 30.6 and
# 23.1; at 1000, 1, 32, 32, S4D (64) 2.1 and 1.3, DeltaNet (32) 1.4 and 1.4, GatedDeltaNet
# (16) 0.9 and 1.1; at 500, 1, 128, 128, LRU (2) 0.8 and 1.2. The drive of S4D, by x too:
# 23.1 and 15.5, and 1.3 and 0.7.
LITTLE = 32


def segment_length(program: Program, copies: int = 1) -> int | None:
    """Steps whose drive, carries and values of taps take each no more than `CACHE`.

    Nor does any array on the way to the drive. Or no more than the weights, if they are
    more: every segment reads all of them and adds to all of their gradients, which its
    products have to be worth. At least two steps: of a single one, what is kept is copied
    (jaxlib 0.10: and sums over examples take ten times as long). None where a size is
    symbolic. For so many copies side by side.
    """
    plan = program.plan
    rows = plan.drive, plan.carry, [tap.value for tap in plan.taps]
    sizes = [bytes_of([v.aval for v in row]) for row in rows]
    sizes += [bytes_of([aval]) for aval in program.project.made]
    if not all(isinstance(size, int) for size in sizes):
        return None
    step = copies * max(*sizes, 1)
    weights = copies * bytes_of([program.of_params[i] for i in program.weighing])
    return max(2, max(CACHE, weights) // step)


def shows_little(program: Program) -> bool:
    """Whether outputs are few numbers beside the carry: the loop had better make them.

    Else they are made of all carries of a segment, which are written and read for it.
    """
    of_ys, carry = program.unshown(program.of_ys), program.plan.carry
    return _many(bytes_of([v.aval for v in carry]), bytes_of(of_ys))


def widens(program: Program) -> bool:
    """Whether a drive is many numbers beside the inputs: it is not worth a buffer."""
    drive = bytes_of([v.aval for v in program.plan.drive])
    return _many(drive, bytes_of(program.of_inputs))


def _many(many: int, few: int) -> bool:
    """Symbolic sizes are none."""
    return isinstance(many, int) and isinstance(few, int) and many >= LITTLE * few
