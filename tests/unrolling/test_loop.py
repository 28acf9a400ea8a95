"""What the loop holds: `step` alone."""

import jax
import jax.numpy as jnp
import pytest
from zoo import BASIC, inputs_of, params_of

from jaxrnn import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Elman,
    Embedding,
    FastSlow,
    Scan,
    Stack,
    trajectory,
    unroll,
)

every_cell = pytest.mark.parametrize("cell", BASIC.values(), ids=BASIC.keys())


# The program.


def scans(jaxpr):
    """Every scan of a program, all the way down."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for parameter in equation.params.values():
            body = getattr(parameter, "jaxpr", parameter)
            if hasattr(body, "eqns"):
                yield from scans(body)


def loops(jaxpr, depth=0):
    """`(depth, names of the equations)` of every scan's own body, all the way down."""
    for equation in jaxpr.eqns:
        inner = depth + (equation.primitive.name == "scan")
        for parameter in jax.tree.leaves(
            equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            body = getattr(parameter, "jaxpr", parameter)
            if hasattr(body, "eqns"):
                if equation.primitive.name == "scan":
                    yield inner, [inside.primitive.name for inside in body.eqns]
                yield from loops(body, inner)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (LSTM(3, 4, projection_size=2), 2),
        (FastSlow((GRU(3, 4), GRU(5, 4)), GRU(4, 5)), 3),
    ],
    ids=["projection", "three_cells"],
)
def test_what_products_come_between_is_made_once(cell, expected):
    """The gates before a product are those of the new carry too."""
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    text = jax.jit(lambda p, xs: unroll(cell, p, xs)).lower(params, xs).as_text()
    assert text.count("stablehlo.tanh ") == expected


class _Marked(Cell):
    """Each part leaves its own mark in the program."""

    input_size: int

    def init(self, key):
        return {}

    def initial_carry(self, params):
        return jnp.zeros(self.input_size)

    def prepare(self, params, key=None):
        return {"scale": jnp.cosh(jnp.ones(()))}

    def project(self, params, x, keys=None):
        return jnp.sinh(x)

    def step(self, params, carry, drive):
        return jnp.tanh(carry + drive)

    def output(self, params, carry, drive):
        return jnp.arctan(carry) * params["scale"]


@pytest.mark.parametrize("batch_shape", [(), (2,)])
@pytest.mark.parametrize(
    "cell", [_Marked(3), Stack((_Marked(3), _Marked(3)))], ids=["cell", "stack"]
)
def test_the_innermost_loop_calls_step_alone(cell, batch_shape):
    xs, params = jnp.ones((6, *batch_shape, 3)), cell.init(jax.random.key(0))
    method = Scan(autodiff=True)  # whose program can be read

    def loss(xs):
        return unroll(cell, params, xs, method=method)[1].sum()

    for program, marks in (
        (loss, {"tanh"}),
        (jax.grad(loss), {"tanh"}),
        (lambda xs: trajectory(cell, params, xs, method=method), {"tanh"}),
    ):
        bodies = list(loops(jax.make_jaxpr(program)(xs).jaxpr))
        innermost = max(depth for depth, _ in bodies)
        seen = {name for depth, names in bodies if depth == innermost for name in names}
        assert marks <= seen and not {"sinh", "cosh", "atan"} & seen
    outside = str(jax.make_jaxpr(loss)(xs))
    assert all(mark in outside for mark in ("sinh", "cosh", "atan"))


@every_cell
def test_nothing_in_the_loop_depends_on_parameters_alone(cell):
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    method = Scan(autodiff=True)  # whose program can be read
    program = jax.make_jaxpr(lambda p, xs: unroll(cell, p, xs, method=method))(params, xs)
    for scan in scans(program.jaxpr):
        jaxpr = getattr(scan.params["jaxpr"], "jaxpr", scan.params["jaxpr"])
        pairs = list(zip(scan.invars, jaxpr.invars, strict=True))
        over_time = [o.aval.shape == (6, *i.aval.shape) for o, i in pairs].count(True)
        carries = len(jaxpr.outvars) // 2  # each carry is handed on and stacked
        fixed = len(pairs) - carries - over_time
        assert fixed > 0
        constant = set(map(id, jaxpr.invars[:fixed]))
        for equation in jaxpr.eqns:
            if equation.primitive.name == "broadcast_in_dim":
                continue  # of a bias over the batch: no work, but part of its sum
            inputs = [v for v in equation.invars if not hasattr(v, "val")]
            assert not inputs or not all(id(v) in constant for v in inputs), equation


@pytest.mark.parametrize(
    "cell", [Dense(3, 4), Embedding(7, 3), Stack((Embedding(7, 3), Dense(3, 4)))]
)
def test_a_cell_without_memory_needs_no_loop(cell):
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    program = jax.make_jaxpr(lambda params, xs: unroll(cell, params, xs))(params, xs)
    assert not list(loops(program.jaxpr))


def test_a_forward_pass_keeps_no_memory_cells():
    """The LSTM's c is needed by no output: only the drive and h have T entries."""
    cell, T, B = LSTM(32, 64), 100, 8
    params, xs = cell.init(jax.random.key(0)), jnp.ones((T, B, 32))
    compiled = jax.jit(lambda p, xs: unroll(cell, p, xs)[1]).lower(params, xs).compile()
    stack = T * B * 64 * 8
    product_and_drive = 2 * 4 * stack
    assert compiled.memory_analysis().temp_size_in_bytes < product_and_drive + stack / 2


def test_a_trajectory_makes_no_outputs():
    cell = Stack((Elman(3, 4), Dense(4, 500)))
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    program = jax.jit(lambda p, xs: trajectory(cell, p, xs)).lower(params, xs)
    sizes = program.compile().memory_analysis()
    assert sizes.output_size_in_bytes + sizes.temp_size_in_bytes < 6 * 2 * 500 * 8
