"""A prefix over time against loops: values, derivatives, and no loop of T steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from against_autodiff import (
    PLAIN,
    assert_close,
    gradients,
    jvp,
    loss,
    temporaries,
    weighted,
)
from jax.sharding import AxisType, PartitionSpec
from marks import by_default
from zoo import ZOO, carry_of, inputs_of, noise_key, params_of, random_like

from jaxrnn import (
    GRU,
    Associative,
    Bidirectional,
    Cell,
    ClipCarryGradient,
    Elman,
    LearnedCarry,
    Residual,
    Scan,
    Stack,
    VariationalDropout,
    Zoneout,
    carry_gradients,
    cells,
    gradient_norms,
    gradient_report,
    input_gradients,
    lag_profile,
    lyapunov_spectrum,
    trajectory,
    unroll,
)

FINE = Associative(block=2)


class Products(Cell):
    """h' = g h A + b, with A and b for its inputs: Jacobians that do not commute."""

    input_shape: Any = (4, 3)

    def init(self, key):
        return jnp.ones(())

    def initial_carry(self, params):
        return jnp.zeros(3)

    def step(self, params, carry, drive):
        return carry @ (params * drive[:3]) + drive[3]


def products(g, xs, h, weights):
    """Its loop in NumPy: the outputs, and the gradients of their weighted sum."""
    A, b = np.asarray(xs)[:, :3], np.asarray(xs)[:, 3]
    every = [np.asarray(h)]
    for t in range(len(A)):
        every.append(g * every[-1] @ A[t] + b[t])
    bar, dg, dxs = np.zeros(3), 0.0, np.zeros(xs.shape)
    for t in reversed(range(len(A))):
        bar = bar + weights[t]
        dxs[t, :3], dxs[t, 3] = g * np.outer(every[t], bar), bar
        dg += every[t] @ A[t] @ bar
        bar = g * A[t] @ bar
    return np.stack(every[1:]), dg, dxs, bar


@pytest.mark.parametrize("T", by_default([1, 2, 3, 17, 1000], 2, 1000))
def test_values_and_gradients_are_those_of_a_loop(T):
    cell, g = Products(), 1.1
    xs = random_like(jnp.zeros((T, 4, 3)), seed=1)
    h, weights = random_like(jnp.zeros(3)), random_like(jnp.zeros((T, 3)), seed=2)

    def total(g, xs, h):
        found = unroll(cell, g, xs, h, method=Associative())[1]
        return jnp.vdot(found, weights), found

    slope = jax.jit(jax.value_and_grad(total, (0, 1, 2), has_aux=True))
    (_, found), bars = slope(jnp.asarray(g), xs, h)
    assert_close((found, *bars), products(g, xs, h, weights), 1e-10)


class Everything(Cell):
    """Leaves of every kind, of which some depend on others."""

    input_size: int = 3

    def init(self, key):
        shapes = {"W": (3, 3), "U": (3, 3), "V": (2, 2), "k": (3, 2)}
        return random_like({name: jnp.zeros(of) for name, of in shapes.items()}, 5)

    def initial_carry(self, params):
        zeros = jnp.zeros(3)
        return {
            "count": jnp.zeros((), int),
            "turns": zeros.astype(complex),
            "rotation": (zeros + 0.1, zeros),
            "dense": zeros,
            "delta": jnp.zeros((2, 3)),
            "highest": zeros,
            "below": zeros,
            "shapes": (jnp.zeros(2), jnp.ones(())),
            "last": zeros,
        }

    def project(self, params, x, keys=None):
        return jnp.tanh(x @ params["W"])

    def step(self, params, carry, drive):
        c, u = carry, drive
        cosine, sine = jnp.cos(u), jnp.sin(u)
        a, b = c["rotation"]
        k = params["k"] @ jnp.tanh(u[:2])
        k = k / jnp.sqrt(1 + k @ k)
        highest = jnp.maximum(c["highest"] + u, 0.1 * cosine)
        p, q = c["shapes"]
        return {
            "count": c["count"] + 1,
            "turns": c["turns"] * jax.lax.complex(cosine, sine) + u.astype(complex),
            "rotation": (cosine * a - sine * b, 0.9 * (sine * a + cosine * b) + u),
            "dense": c["dense"] @ params["U"] + u,
            "delta": c["delta"] - (c["delta"] @ k)[:, None] * k[None] + u[:2, None],
            "highest": highest,
            "below": c["below"] * jnp.exp(c["highest"] - highest - 0.3)
            + jnp.cos(c["count"].astype(u.dtype)) * jnp.sin(a) * jnp.real(c["turns"]),
            "shapes": (params["V"] @ p + q, 0.5 * q + jnp.sum(p) * u[0]),
            "last": u,
        }

    def output(self, params, carry, drive):
        leaves = jax.tree.leaves({**carry, "count": drive})
        return jnp.concatenate([jnp.real(jnp.ravel(leaf)) for leaf in leaves])


T, B = 9, 3
STREAMS: Any = {
    "forwards": {
        "lengths": jnp.array([9, 0, 5]),
        "resets": jnp.zeros((T, B), bool).at[3, 0].set(True).at[7, 2].set(True),
    },
    "backwards": {
        "mask": jnp.arange(T * B).reshape(T, B) % 4 != 1,
        "resets": jnp.zeros((T, B), bool).at[jnp.array([4, 5, 6]), 0].set(True),
        "reverse": True,
    },
}


def example(cell, batch=(B,), steps=T):
    params = params_of(cell)
    return params, inputs_of(cell, (steps, *batch)), carry_of(cell, params, batch)


@pytest.mark.slow
@pytest.mark.parametrize("streams", STREAMS)
def test_leaves_of_every_kind_masked_and_reset(streams):
    cell, options = Everything(), STREAMS[streams]
    params, xs = cell.init(jax.random.key(0)), inputs_of(cell, (T, B))

    def total(params, xs, method):
        found = unroll(cell, params, xs, method=method, **options)
        parts = jax.tree.map(lambda leaf: [jnp.real(leaf), jnp.imag(leaf)], found)
        return weighted(parts), found

    def slope(method):
        function = lambda *args: total(*args, method)  # noqa: E731
        return jax.jit(jax.value_and_grad(function, (0, 1), has_aux=True))(params, xs)

    assert_close(slope(FINE), slope(PLAIN), 1e-10)


@pytest.mark.slow
def test_leaves_of_every_kind():
    cell = Everything()
    params, xs = cell.init(jax.random.key(0)), inputs_of(cell, (T,))
    expected = trajectory(cell, params, xs)
    assert_close(trajectory(cell, params, xs, method=FINE), expected, 1e-10)


AROUND = {
    "stack": Stack((VariationalDropout(0.4), cells.MinGRU(3, 4), cells.SRU(4, 3))),
    "bidirectional": Bidirectional(cells.MinGRU(3, 2), cells.SRU(3, 2)),
    "residual": Residual(LearnedCarry(cells.MinGRU(3, 3))),
    "zoneout": Zoneout(cells.DeltaNet(3, 4, heads=2), 0.4),
}


@pytest.mark.parametrize("name", by_default(AROUND, "stack"))
def test_combinators_wrappers_and_noise(name):
    cell = AROUND[name]
    args, options = example(cell), STREAMS["forwards"] | {"key": noise_key(cell)}
    expected = gradients(cell, PLAIN, args, **options)
    assert_close(gradients(cell, FINE, args, **options), expected, 1e-10)


AFFINE = "min_gru min_lstm sru qrnn linear linear_attention delta_net gated_delta_net "
AFFINE += "lru s4d s5 rglru mlstm"


@pytest.mark.slow
@pytest.mark.parametrize("T", [3, 40])
@pytest.mark.parametrize("name", AFFINE.split())
def test_affine_cells_of_the_zoo(name, T):
    args = example(ZOO[name], (2,), T)
    expected = gradients(ZOO[name], PLAIN, args)
    assert_close(gradients(ZOO[name], Associative(), args), expected, 1e-10)


TRANSFORMATIONS = {
    "no_batch": lambda f: jax.grad(
        lambda p, x, c: f(p, x[:, 0], jax.tree.map(lambda a: a[0], c)), (0, 1)
    ),
    "two_batch_axes": lambda f: jax.grad(
        lambda p, x, c: f(p, x[:, None], jax.tree.map(lambda a: a[None], c)), (0, 1)
    ),
    "jvp": jvp,
    "hessian": jax.hessian,
    "reverse_over_reverse": lambda f: jax.jacrev(jax.grad(f, 0), 1),
    "forward_over_reverse": lambda f: jvp(jax.grad(f, (0, 1, 2))),
    "vmap_params": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f), (0, None, None))(
            jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p), x, c
        )
    ),
    "vmap_inputs": lambda f: (
        lambda p, x, c: jax.vmap(jax.grad(f), (None, 0, None))(
            p, jnp.stack([x, 2 * x]), c
        )
    ),
}


@pytest.mark.parametrize(
    "name", by_default(TRANSFORMATIONS, "forward_over_reverse", "vmap_params")
)
@pytest.mark.parametrize("cell", by_default([cells.MinGRU(2, 2), Products()], Products()))
def test_under_transformations(cell, name):
    args, options = example(cell, (2,), 5), {"lengths": jnp.array([5, 3])}
    if name in ("no_batch", "two_batch_axes"):
        options = {}
    expected, found = (
        jax.jit(TRANSFORMATIONS[name](loss(cell, method, **options)))(*args)
        for method in (PLAIN, FINE)
    )
    assert_close(found, expected, 1e-10)


MEASURED = {
    "trajectory": trajectory,
    "carry_gradients": lambda *args, **o: carry_gradients(weighted, *args, **o),
    "gradient_norms": lambda *args, **o: gradient_norms(weighted, *args, **o),
    "input_gradients": lambda *args, **o: input_gradients(weighted, *args, **o),
    "lag_profile": lambda *args, **o: lag_profile(
        lambda ys: jnp.sum(ys**2, -1), *args, sample_key=jax.random.key(0), **o
    ),
    "lyapunov_spectrum": lambda *args, **o: lyapunov_spectrum(*args, **o).exponents,
    "gradient_report": lambda *args, **o: [
        fading.rate
        for fading in gradient_report(
            lambda ys: jnp.sum(ys**2, -1), *args, sample_key=jax.random.key(0), **o
        ).fading.values()
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", by_default(MEASURED, "carry_gradients"))
def test_what_is_measured(name):
    cell = Stack((cells.MinGRU(3, 4), cells.SRU(4, 3)))
    params, xs, _ = example(cell)
    options = {"lengths": jnp.array([9, 6, 5])}
    expected, found = (
        MEASURED[name](cell, params, xs, method=method, **options)
        for method in (Scan(), FINE)
    )
    assert_close(found, expected, 1e-10)


@pytest.mark.parametrize("dtype", by_default(["float32", "bfloat16"], "bfloat16"))
def test_dtypes_are_those_of_scan(dtype, promotion):
    cell = cells.MinGRU(3, 4)
    params, xs, _ = example(cell)
    params = jax.tree.map(lambda leaf: leaf.astype("float32"), params)
    found, expected = (
        jax.jit(lambda p, x, m=method: unroll(cell, p, x, method=m))(
            params, xs.astype(dtype)
        )
        for method in (FINE, Scan())
    )
    assert [leaf.dtype for leaf in found] == [np.dtype("float32"), np.dtype(dtype)]
    assert_close(jax.tree.map(lambda x: x.astype(float), found), expected, 1e-2)


@pytest.mark.parametrize(
    "cell",
    by_default(
        [cells.MinGRU(3, 4), cells.MLSTM(3, 4), cells.LRU(3, 4), cells.DeltaNet(3, 4)],
        cells.MinGRU(3, 4),
    ),
)
def test_under_shard_map(cell):
    spread = PartitionSpec(None, "data")
    mapped = jax.shard_map(
        jax.grad(lambda *args: jnp.sum(unroll(cell, *args, method=FINE)[1] ** 2), (0, 1)),
        mesh=jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,)),
        in_specs=(PartitionSpec(), spread),
        out_specs=(PartitionSpec(), spread),
    )
    args = params_of(cell), inputs_of(cell, (T, 4))
    total = lambda *args: jnp.sum(unroll(cell, *args, method=PLAIN)[1] ** 2)  # noqa: E731
    assert_close(jax.jit(mapped)(*args), jax.jit(jax.grad(total, (0, 1)))(*args), 1e-10)


# No loop of T steps.


def equations(jaxpr):
    """All of them, those inside of others too."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jax.tree.leaves([*eqn.params.values()]):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def program(cell, steps):
    args = example(cell, (2,), steps)
    function = jax.value_and_grad(loss(cell, Associative()), (0, 1))
    return [*equations(jax.make_jaxpr(function)(*args).jaxpr)]


@pytest.mark.parametrize("name", by_default(AFFINE.split(), "lru"))
def test_nothing_loops_over_all_steps(name):
    found = program(ZOO[name], 1000)
    assert not [eqn for eqn in found if eqn.primitive.name == "while"]
    lengths = [eqn.params["length"] for eqn in found if eqn.primitive.name == "scan"]
    assert lengths and max(lengths) <= 64


@pytest.mark.slow
@pytest.mark.parametrize("name", by_default(["min_gru", "delta_net"], "min_gru"))
def test_twice_the_steps_are_one_round_more(name):
    sizes = [len(program(ZOO[name], steps)) for steps in (256, 512, 1024)]
    more = np.diff(sizes)
    assert more[0] == more[1] < 0.5 * sizes[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["min_gru", "delta_net"])
def test_memory_grows_as_the_carries_do(name):
    cell = ZOO[name]
    function = jax.value_and_grad(loss(cell, Associative()), (0, 1))
    short, long = (temporaries(function, *example(cell, (2,), T)) for T in (2048, 8192))
    assert 3 * short < long < 4.5 * short


# What is refused.


def test_a_step_that_is_not_affine_is_refused_with_the_remedy():
    message = (
        r"Associative: the step of Elman\(input_size=3, hidden_size=4\) is not affine in "
        r"its carry: it has tanh of float64\[4\], which depends on it \(.*elman\.py:\d+.*"
        r"\); take Newton\(\), or Scan\(\)"
    )
    cell = Elman(3, 4)
    with pytest.raises(ValueError, match=message):
        unroll(cell, *example(cell), method=Associative())
    cell = Stack((cells.MinGRU(3, 4), GRU(4, 4)))
    with pytest.raises(ValueError, match=r"the step of GRU\(.*logistic of float64\[4\]"):
        unroll(cell, *example(cell), method=Associative())


def test_where_newton_is_no_remedy_it_is_not_named():
    cell = ClipCarryGradient(cells.MinGRU(3, 4))
    message = r"clip_carry_gradient of .*\); take Scan\(\)"
    with pytest.raises(ValueError, match=message):
        unroll(cell, *example(cell), method=Associative())


class Kept(Cell):
    """An affine step in `jax.checkpoint`."""

    input_shape: Any = (3,)

    def init(self, key):
        return jnp.ones(3)

    def initial_carry(self, params):
        return params

    def step(self, params, carry, drive):
        step = lambda h, x: jnp.tanh(x) * h + params * x  # noqa: E731
        return jax.checkpoint(step)(carry, drive)


def test_a_step_is_seen_in_a_checkpoint():
    cell = Kept()
    args = cell.init(None), inputs_of(cell, (7,))
    found = lambda method: jax.value_and_grad(  # noqa: E731
        lambda *args: jnp.sum(jnp.sin(unroll(cell, *args, method=method)[1])), (0, 1)
    )(*args)
    assert_close(found(FINE), found(Scan()), 1e-12)


def test_matrices_of_many_units_are_asked_for():
    cell = cells.LinearRNN(3, 5)
    args = example(cell)
    with pytest.raises(
        ValueError, match=r"Associative: the step mixes 5 units.*largest=5"
    ):
        unroll(cell, *args, method=Associative(largest=4))
    found = unroll(cell, *args, method=Associative(largest=5))
    assert_close(found, unroll(cell, *args), 1e-12)


@pytest.mark.parametrize("options", [{"block": 0}, {"largest": 2.0}, {"block": True}])
def test_options_are_checked(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"Associative: {name} is .*a positive int"):
        Associative(**options)


# Products that leave the range of their dtype.


class Decay(Cell):
    """h' = a h + b, with a and b for its inputs."""

    input_shape: Any = (2, 8)

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(8, "float32")

    def step(self, params, carry, drive):
        return drive[0] * carry + drive[1]


def decays(T):
    """A column for each case, a and b."""
    rng = np.random.default_rng(0)
    t = np.arange(T)
    a = np.stack(
        [
            np.full(T, 1 - 1e-5),
            np.full(T, 1e-9),
            rng.uniform(0, 1, T),
            np.where(t // 3000 % 2, 0.99, 1.01),  # 1e13 and back
            np.where(rng.uniform(size=T) < 0.01, 0, 1),
            np.where(t < T // 2, 1.01, np.where(t == T // 2, 0, 0.999)),  # then a reset
            -1 + 1e-4 * rng.uniform(size=T),
            np.where(t // 5000 % 2, 1.005, 1e-3),
        ],
        axis=1,
    )
    b = rng.normal(size=(T, 8))
    b[t < T // 2, 5] = 0  # where nothing grows, though the product is out of range
    return a.astype("float32"), b.astype("float32")


def wide(a, b):
    """h and the sum of the sizes of its terms, step by step in float64."""
    h, m = np.zeros(b.shape), np.zeros(b.shape)
    for t in range(len(a)):
        h[t] = a[t] * h[t - 1] + b[t] if t else b[t]
        m[t] = abs(a[t]) * m[t - 1] + abs(b[t]) if t else abs(b[t])
    return h, m


@pytest.mark.parametrize("T", by_default([10_000, 100_000], 10_000))
@pytest.mark.slow
def test_long_products_are_stable(T):
    a, b = decays(T)
    expected, size = wide(a.astype(float), b.astype(float))
    xs = jnp.stack([jnp.asarray(a), jnp.asarray(b)], 1)
    errors = []
    for method in (Associative(), Scan()):
        ys = unroll(Decay(), (), xs, method=method)[1]
        assert ys.dtype == np.dtype("float32")
        far = abs(np.asarray(ys, float) - expected)
        errors.append(np.max(far / (size + 1e-30), axis=0))
    eps = np.finfo("float32").eps
    # A constant a is rounded alike in every block, and by another way than in a loop.
    assert np.all(errors[0] < 4 * errors[1] + eps * np.sqrt(T)), errors
    # Back in time the sum of all h is such a recurrence too.
    back = np.concatenate([a[1:], a[:1]])[::-1].astype(float)
    expected, size = wide(back, np.ones(b.shape))
    finite, errors = size < 1e30, []
    for method in (Associative(), Scan()):
        total = lambda xs, m=method: jnp.sum(unroll(Decay(), (), xs, method=m)[1])  # noqa: E731
        found = np.asarray(jax.grad(total)(xs), float)[::-1, 1]
        errors.append(np.max(abs(found - expected)[finite] / size[finite]))
    assert errors[0] < 4 * errors[1] + 0.1 * eps * T, errors  # all roundings are alike


class Growth(Cell):
    """Two leaves that turn and two that mix, both of them longer by 2% at every step."""

    input_size: int = 1

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return (jnp.zeros(2, "float32"),) * 3

    def step(self, params, carry, drive):
        a, b, c = carry
        turn = lambda a, b: 1.02 * (0.6 * a - 0.8 * b)  # noqa: E731
        return turn(a, b) + drive, turn(b, -a), turn(c, c[::-1]) + drive


@pytest.mark.slow
def test_what_grew_out_of_range_is_gone_after_a_reset():
    T = 6000
    xs = jnp.zeros((T, 1), "float32").at[T - 30 :].set(1)
    resets = jnp.zeros(T, bool).at[T - 30].set(True)
    run = lambda method: trajectory(  # noqa: E731
        Growth(), (), xs, resets=resets, method=method
    )
    assert_close(run(Associative()), run(Scan()), 1e-5)


@pytest.mark.parametrize("name", ["min_gru", "mlstm", "delta_net", "s4d"])
def test_nothing_before_a_reset_is_seen_behind_it(name):
    """In every kind of matrix, wherever in a block the reset is."""
    cell = ZOO[name]
    xs = inputs_of(cell, (30, 2)).at[13].set(jnp.nan)
    resets = jnp.zeros((30, 2), bool).at[15, 0].set(True).at[20, 1].set(True)
    args = cell, params_of(cell), xs
    _, expected = unroll(*args, resets=resets)
    assert jnp.isnan(expected[14]).any() and jnp.isfinite(expected[20:]).all()
    for method in (Associative(block=4), Associative()):
        _, ys = unroll(*args, resets=resets, method=method)
        np.testing.assert_allclose(ys, expected, atol=1e-12)


class Scaled(Cell):
    """h' = a h + b, entry by entry; `pairs`: of complex numbers, as two leaves."""

    pairs: bool = False
    input_shape: Any = (4, 3)

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return (jnp.ones(3), jnp.ones(3)) if self.pairs else jnp.ones(3)

    def step(self, params, carry, drive):
        a, b, c, d = drive
        if not self.pairs:
            return a * carry + b
        h, g = carry
        return a * h - c * g + b, c * h + a * g + d


@pytest.mark.parametrize("pairs", [False, True])
def test_where_a_scale_is_zero_it_has_its_gradient(pairs):
    """Zero forgets what was before, but the derivative in it is what was before."""
    cell, T = Scaled(pairs=pairs), 7
    xs = random_like(jnp.zeros((T, 4, 3))).at[3, 0].set(0.0).at[3, 2].set(0.0)
    weights = random_like(jnp.zeros((T, 3)), seed=1)
    last = lambda ys: ys[0] if pairs else ys  # noqa: E731

    def total(xs):
        return jnp.vdot(last(unroll(cell, (), xs, method=FINE)[1]), weights)

    a, b, c, d = np.moveaxis(np.asarray(xs), 1, 0)
    scale, offset = (a + 1j * c, b + 1j * d) if pairs else (a, b)
    every = [np.full(3, 1 + 1j if pairs else 1.0)]
    for t in range(T):
        every.append(scale[t] * every[-1] + offset[t])
    bars, bar = np.zeros((T, 4, 3)), np.zeros(3)
    for t in reversed(range(T)):
        bar = bar + np.asarray(weights)[t]
        of_scale = bar * np.conj(every[t])
        bars[t, 0], bars[t, 1] = of_scale.real, bar.real
        if pairs:
            bars[t, 2], bars[t, 3] = of_scale.imag, bar.imag
        bar = bar * np.conj(scale[t])
    assert np.abs(bars[3, 0]).min() > 1e-3
    assert_close(jax.grad(total)(xs), bars, 1e-12)
