"""`unroll`, `trajectory` and `batched_carry`: shapes, dtypes, keys, and the program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import by_default
from zoo import ZOO, carry_of, inputs_of, params_of

import jaxrnn
from jaxrnn import (
    GRU,
    LSTM,
    Cell,
    Combinator,
    Dense,
    Elman,
    Embedding,
    Keys,
    LSTMCarry,
    Scan,
    Stack,
    batched_carry,
    carry_gradients,
    trajectory,
    unroll,
)

every_cell = pytest.mark.parametrize("cell", ZOO.values(), ids=ZOO.keys())
EVERY_DTYPE = "elman lstm gru gru_reset_before dense embedding stack_mixed".split()
EVERY_DTYPE += "stack_language_model dropouts zoneout residual_bidirectional".split()
FLOATS = ("float64", "float32", "bfloat16", "float16")


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def dtypes(tree):
    return {str(leaf.dtype) for leaf in jax.tree.leaves(tree)}


# Shapes.


@pytest.mark.parametrize("batch_shape", [(), (2,), (2, 3), (1, 2, 1)])
def test_any_number_of_batch_axes(batch_shape):
    cell = Stack((LSTM(3, 5), Dense(5, 4)))
    params, xs = params_of(cell), inputs_of(cell, (6, *batch_shape))
    (lstm, dense), ys = unroll(cell, params, xs)
    assert lstm.h.shape == lstm.c.shape == (*batch_shape, 5) and dense == ()
    assert ys.shape == (6, *batch_shape, 4)
    one = batched_carry(cell, params, batch_shape)
    np.testing.assert_array_equal(unroll(cell, params, xs, one)[1], ys)


@pytest.mark.parametrize(
    "cell", by_default(ZOO.values(), *(ZOO[name] for name in ("lstm", "bidirectional")))
)
def test_no_steps_give_the_carry_back_and_no_outputs(cell):
    params = params_of(cell)
    carry, xs = carry_of(cell, params, (2,)), inputs_of(cell, (0, 2))
    final, ys = unroll(cell, params, xs, carry)
    for actual, expected in zip(
        jax.tree.leaves(final), jax.tree.leaves(carry), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    _, some = unroll(cell, params, inputs_of(cell, (3, 2)), carry)
    assert ys.shape == (0, *some.shape[1:]) and ys.dtype == some.dtype
    for leaf in jax.tree.leaves(trajectory(cell, params, xs, carry)):
        assert leaf.shape[0] == 0


class _Pairs(Cell):
    """Inputs that are a dict of a vector and a scalar."""

    size: int

    @property
    def input_shape(self):
        return {"force": (self.size,), "time": ()}

    def init(self, key):
        return {"scale": jnp.ones(self.size)}

    def initial_carry(self, params):
        return jnp.zeros(self.size)

    def step(self, params, carry, drive):
        return carry + params["scale"] * drive["force"] * drive["time"]


def test_inputs_may_be_pytrees():
    cell = _Pairs(3)
    force, time = inputs_of(Dense(3, 1), (6, 2)), inputs_of(Dense(1, 1), (6, 2))[..., 0]
    _, ys = unroll(cell, cell.init(jax.random.key(0)), {"force": force, "time": time})
    expected = np.cumsum(np.asarray(force) * np.asarray(time)[..., None], axis=0)
    np.testing.assert_allclose(ys, expected, rtol=1e-12)


def test_unrolling_the_loop_changes_nothing():
    cell = GRU(3, 5)
    params, xs = params_of(cell), inputs_of(cell, (7, 2))
    expected = unroll(cell, params, xs)
    for steps in (2, 7, 9):
        carry, ys = unroll(cell, params, xs, method=Scan(unroll=steps))
        np.testing.assert_allclose(carry, expected[0], rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(ys, expected[1], rtol=1e-13, atol=1e-15)


# Dtypes.


@pytest.mark.parametrize("name", EVERY_DTYPE)
@pytest.mark.parametrize("dtype", by_default(FLOATS, "bfloat16"))
def test_one_dtype_in_is_that_dtype_out(name, dtype):
    cell = ZOO[name]
    params, xs = cast(params_of(cell), dtype), inputs_of(cell, (4, 2))
    if cell.input_shape != ():
        xs = cast(xs, dtype)
    carry, ys = unroll(cell, params, xs)
    assert dtypes(ys) == {dtype} and dtypes(carry) <= {dtype}
    exact = unroll(cell, cast(params, "float64"), jax.tree.map(_to_float64, xs))[1]
    tolerance = 8 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(_to_float64(ys), exact, rtol=tolerance, atol=tolerance)


def _to_float64(leaf):
    return leaf.astype("float64") if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@pytest.mark.parametrize(
    ("params_dtype", "xs_dtype"),
    [
        ("float32", "bfloat16"),
        ("bfloat16", "float32"),
        ("float32", "float64"),
        ("float16", "bfloat16"),
    ],
)
@pytest.mark.parametrize(
    "name",
    by_default(
        ["elman", "lstm", "gru", "gru_reset_before", "stack_language_model"],
        "lstm",
        "stack_language_model",
    ),
)
@pytest.mark.usefixtures("promotion")
def test_mixed_dtypes_keep_the_wider_carry_and_the_dtype_of_the_inputs(
    name, params_dtype, xs_dtype
):
    cell = ZOO[name]
    params, xs = cast(params_of(cell), params_dtype), inputs_of(cell, (3,))
    if cell.input_shape == ():
        xs_dtype = params_dtype
    else:
        xs = cast(xs, xs_dtype)
    carry, ys = unroll(cell, params, xs)
    assert dtypes(ys) == {xs_dtype}
    assert dtypes(carry) <= {str(jnp.promote_types(params_dtype, xs_dtype))}
    # One step at a time, the same dtypes and the same numbers.
    stepped, outputs = cell.initial_carry(params), []
    for x in xs:
        stepped, y = cell(params, stepped, x)
        outputs.append(y)
    tolerance = 8 * float(jnp.finfo(jnp.promote_types(params_dtype, xs_dtype)).eps)
    tolerance = max(tolerance, 2 * float(jnp.finfo(xs_dtype).eps))
    assert dtypes(stepped) == dtypes(carry) and dtypes(outputs) == dtypes(ys)
    np.testing.assert_allclose(
        _to_float64(ys), _to_float64(jnp.stack(outputs)), rtol=tolerance, atol=tolerance
    )


@pytest.mark.usefixtures("promotion")
def test_a_carry_given_in_another_dtype_loses_nothing():
    cell = LSTM(3, 5)
    params, xs = (
        cast(params_of(cell), "float32"),
        cast(inputs_of(cell, (4,)), "float32"),
    )
    wide = carry_of(cell, params)
    assert dtypes(wide) == {"float32"}
    carry, ys = unroll(cell, params, xs, cast(wide, "float64"))
    assert dtypes(carry) == {"float64"} and dtypes(ys) == {"float32"}
    narrow = cast(wide, "bfloat16")
    carry, _ = unroll(cell, params, xs, narrow)
    assert dtypes(carry) == {"float32"}
    whole = jax.tree.map(lambda leaf: np.ones(leaf.shape, int), wide)
    expected = unroll(cell, params, xs, cast(whole, "float32"))[1]
    np.testing.assert_array_equal(unroll(cell, params, xs, whole)[1], expected)


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


_traced = []


class _Counted(Elman):
    def step(self, params, carry, drive):
        _traced.append(self)
        return super().step(params, carry, drive)


def test_calls_outside_jit_compile_once_for_equal_cells():
    params, xs = Elman(3, 5).init(jax.random.key(0)), inputs_of(Elman(3, 5), (4,))
    unroll(_Counted(3, 5), params, xs)
    first = len(_traced)
    assert first > 0
    unroll(_Counted(3, 5), params, xs + 1)
    assert len(_traced) == first
    unroll(_Counted(3, 5, "relu"), params, xs)
    assert len(_traced) > first


def mapped(function, **options):
    """`function(params, xs, carry)` under shard_map, the batch over two devices."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    P = jax.sharding.PartitionSpec
    specs = (P(), P(None, "data"), P("data"))
    return jax.shard_map(
        function, mesh=mesh, in_specs=specs, out_specs=P(None, "data"), **options
    )


@pytest.mark.parametrize(
    "with_carry",
    [
        pytest.param(False, id="no_carry", marks=pytest.mark.slow),
        pytest.param(True, id="carry"),
    ],
)
def test_under_shard_map_every_call_is_what_it_is_without(with_carry):
    cell = Stack((LSTM(3, 5), Dense(5, 2)))
    params, xs = params_of(cell), inputs_of(cell, (6, 4))
    carry = carry_of(cell, params, (4,))

    def outputs(params, xs, carry):
        return unroll(cell, params, xs, carry if with_carry else None)[1]

    def gradients(params, xs, carry):
        return carry_gradients(
            lambda ys: jnp.sum(ys[-1] ** 2),
            cell,
            params,
            xs,
            carry if with_carry else None,
        )[0]

    for function in (outputs, gradients):
        for actual, expected in zip(
            jax.tree.leaves(mapped(function)(params, xs, carry)),
            jax.tree.leaves(function(params, xs, carry)),
            strict=True,
        ):
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("varying", [False, True], ids=["replicated", "varying"])
def test_under_shard_map_gradients_of_parameters_are_those_without(varying):
    cell = GRU(3, 5)  # has a bias inside of the step
    params, xs = params_of(cell), inputs_of(cell, (6, 4))

    def total(params, xs):
        return jnp.sum(unroll(cell, params, xs)[1] ** 2)

    def local(params, xs):
        if not varying:  # JAX sums the gradients up
            return jax.grad(total)(params, xs)
        params = jax.tree.map(
            lambda leaf: jax.lax.pcast(leaf, "data", to="varying"), params
        )
        return jax.lax.psum(jax.grad(total)(params, xs), "data")

    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    P = jax.sharding.PartitionSpec
    both = jax.shard_map(local, mesh=mesh, in_specs=(P(), P(None, "data")), out_specs=P())
    for actual, expected in zip(
        jax.tree.leaves(both(params, xs)),
        jax.tree.leaves(jax.grad(total)(params, xs)),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_under_shard_map_half_a_carry_and_a_key_may_vary(key):
    cell = Stack((_Noisy(3), LSTM(3, 5)))
    params, xs, carry = cell.init(key), jnp.ones((6, 2, 3)), jnp.ones((4, 5))

    def run(params, xs, varying):
        h, c = varying, jnp.zeros_like(varying)
        own = jax.random.fold_in(key, jax.lax.axis_index("data"))
        start = (jnp.zeros(2), LSTMCarry(h, c))
        return unroll(cell, params, jnp.ones((6, 2, 3)), start, key=own)[1]

    ys = mapped(run)(params, jnp.concatenate([xs, xs], 1), carry)
    for device in range(2):
        own = jax.random.fold_in(key, device)
        start = (jnp.zeros(2), LSTMCarry(carry[:2], jnp.zeros((2, 5))))
        expected = unroll(cell, params, xs, start, key=own)[1]
        actual = ys[:, 2 * device : 2 * device + 2]
        np.testing.assert_allclose(actual, expected, rtol=1e-12)


# Keys.


class _Noisy(Cell):
    """Shows the noise it gets: of the call, of the sequence and of the step."""

    input_size: int = 1

    def init(self, key):
        return jnp.zeros(())

    def initial_carry(self, params):
        return jnp.zeros(())

    def prepare(self, params, key=None):
        return params if key is None else jax.random.normal(key)

    def project(self, params, x, keys: Keys | None = None):
        if keys is None:
            return jnp.zeros(3)
        noise = jax.random.normal(keys.sequence), jax.random.normal(keys.step)
        return jnp.stack([params, *noise])

    def step(self, params, carry, drive):
        return carry

    def output(self, params, carry, drive):
        return drive


def noise(key, T=4, batch_shape=(2, 3), cell=_Noisy(), **options):  # noqa: B008
    xs = jnp.zeros((T, *batch_shape, 1))
    return np.asarray(unroll(cell, cell.init(None), xs, key=key, **options)[1])


def test_noise_is_new_where_it_should_be_and_kept_where_it_should_be(key):
    ys = noise(key)
    call, sequence, step = np.moveaxis(ys, -1, 0)
    assert len(np.unique(call)) == 1
    assert len(np.unique(sequence)) == 2 * 3
    np.testing.assert_array_equal(sequence, np.broadcast_to(sequence[0], (4, 2, 3)))
    assert len(np.unique(step)) == 4 * 2 * 3
    assert len(np.unique(ys)) == 1 + 6 + 24


def test_noise_belongs_to_the_key_and_to_the_step_in_input_order(key):
    ys = noise(key)
    np.testing.assert_array_equal(noise(key), ys)
    np.testing.assert_array_equal(noise(key, reverse=True), ys)
    np.testing.assert_array_equal(noise(key, method=Scan(unroll=2)), ys)
    np.testing.assert_array_equal(noise(key, T=2), ys[:2])
    np.testing.assert_array_equal(noise(jax.random.PRNGKey(0)), ys)
    assert not np.isin(noise(jax.random.key(1)), ys).any()
    np.testing.assert_array_equal(noise(None), 0)


def test_a_call_is_a_sequence_of_one_step(key):
    cell = _Noisy()
    _, y = cell(jnp.zeros(()), jnp.zeros(()), jnp.zeros(1), key)
    np.testing.assert_array_equal(y, noise(key, T=1, batch_shape=())[0])


class _Splits(_Noisy):
    """Splits what it gets, as a cell with two masks does: three inputs, four draws."""

    input_size: int = 3

    def project(self, params, x, keys: Keys | None = None):
        assert keys is not None
        drawn = [*jax.random.split(keys.sequence, 3), *jax.random.split(keys.step, 3)]
        drawn += [keys.sequence, keys.step]
        return jnp.stack([jax.random.normal(key) for key in drawn])

    def output(self, params, carry, drive):
        return drive


class _Beside(Combinator):
    """Two cells side by side, to see the noise of both."""

    cells: tuple

    def sequence(self, params, carry, xs, run):
        pairs = enumerate(self.cells)
        out = [c.sequence(params[i], carry[i], xs, run[i]) for i, c in pairs]
        return tuple(carry for carry, _ in out), jnp.concatenate([y for _, y in out], -1)


@pytest.mark.slow
def test_no_two_draws_meet_whatever_a_cell_splits_and_however_deep(key):
    cell = _Beside((_Splits(), _Beside((_Splits(), _Splits()))))
    xs = jnp.zeros((5, 2, 3))
    ys = np.asarray(unroll(cell, cell.init(key), xs, key=key)[1]).reshape(5, 2, 3, 8)
    per_sequence, per_step = ys[..., [0, 1, 2, 6]], ys[..., [3, 4, 5, 7]]
    np.testing.assert_array_equal(per_sequence, per_sequence[:1].repeat(5, axis=0))
    draws = np.concatenate([per_sequence[0].ravel(), per_step.ravel()])
    assert len(np.unique(draws)) == draws.size == 4 * 2 * 3 + 4 * 5 * 2 * 3


def test_a_call_of_a_stack_is_a_sequence_of_one_step_with_noise(key):
    cell = Stack((Stack((_Noisy(3), Dense(3, 3))), Stack((_Noisy(3), _Noisy(3)))))
    params, xs = cell.init(key), jnp.zeros((1, 3))
    carry, ys = unroll(cell, params, xs, key=key)
    stepped, y = cell(params, cell.initial_carry(params), xs[0], key)
    np.testing.assert_array_equal(y, ys[0])
    assert jax.tree.structure(stepped) == jax.tree.structure(carry)


# Carry, pytrees and all that is public.


def test_batched_carry_repeats_the_initial_one():
    cell = Stack((LSTM(3, 5), Elman(5, 2)))
    params = params_of(cell)
    for shape, expected in (((), ()), ((4,), (4,)), ([2, 3], (2, 3)), (4, (4,))):
        (h, c), e = batched_carry(cell, params, shape)
        assert isinstance(batched_carry(cell, params, shape)[0], LSTMCarry)
        assert h.shape == c.shape == (*expected, 5) and e.shape == (*expected, 2)
        assert not h.any() and not c.any() and not e.any()


def test_a_sequence_in_two_pieces_is_the_sequence():
    cell = Stack((LSTM(3, 5), GRU(5, 4)))
    params, xs = params_of(cell), inputs_of(cell, (7, 2))
    carry, first = unroll(cell, params, xs[:3])
    carry, second = unroll(cell, params, xs[3:], carry)
    expected = unroll(cell, params, xs)
    np.testing.assert_allclose(jnp.concatenate([first, second]), expected[1], rtol=1e-12)
    for actual, want in zip(
        jax.tree.leaves(carry), jax.tree.leaves(expected[0]), strict=True
    ):
        np.testing.assert_allclose(actual, want, rtol=1e-12)


def test_every_public_name_explains_itself():
    for name, value in vars(jaxrnn).items():
        if not name.startswith("_") and callable(value):
            assert len(value.__doc__ or "") > 50, name


@pytest.mark.usefixtures("promotion")
def test_cells_that_compute_in_other_dtypes_are_not_equal():
    assert _Counted(3, 5) == _Counted(3, 5) != Elman(3, 5)
    whole, real = _Times(1), _Times(1.0)
    assert whole != real and hash(whole) == hash(_Times(1))
    xs = jnp.ones((3, 2), int)
    assert unroll(whole, (), xs)[1].dtype == int
    assert unroll(real, (), xs)[1].dtype == float


class _Times(Cell):
    scale: float
    input_size: int = 2

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(2, int)

    def step(self, params, carry, drive):
        return self.scale * carry + drive


def test_a_trajectory_makes_no_outputs():
    cell = Stack((Elman(3, 4), Dense(4, 500)))
    params, xs = params_of(cell), inputs_of(cell, (6, 2))
    program = jax.jit(lambda p, xs: trajectory(cell, p, xs)).lower(params, xs)
    sizes = program.compile().memory_analysis()
    assert sizes.output_size_in_bytes + sizes.temp_size_in_bytes < 6 * 2 * 500 * 8
