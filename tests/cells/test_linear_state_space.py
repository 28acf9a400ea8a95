"""Linear recurrent units and state spaces: their papers, and what closed forms say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from papers import equals_paper, every_bias, sigmoid, softplus
from zoo import inputs_of, params_of

from jaxrnn import cells, trajectory, unroll
from jaxrnn.cells import ComplexCarry
from jaxrnn.cells.linear.state_space import hippo


class Pair:
    """A complex number of which both parts may be moved along the imaginary axis."""

    def __init__(self, real, imag=0.0):
        self.real, self.imag = real, imag

    def __add__(self, other):
        return Pair(self.real + other.real, self.imag + other.imag)

    def __sub__(self, other):
        return Pair(self.real - other.real, self.imag - other.imag)

    def __mul__(self, other):
        real = self.real * other.real - self.imag * other.imag
        return Pair(real, self.real * other.imag + self.imag * other.real)

    def __truediv__(self, other):
        size = other.real * other.real + other.imag * other.imag
        return self * Pair(other.real / size, -other.imag / size)

    def times(self, matrix):
        real = self.real @ matrix.real - self.imag @ matrix.imag
        return Pair(real, self.real @ matrix.imag + self.imag @ matrix.real)

    def times_of(self, matrix):
        """Of a real vector."""
        return Pair(self.real @ matrix.real, self.real @ matrix.imag)

    def exp(self):
        size = np.exp(self.real)
        return Pair(size * np.cos(self.imag), size * np.sin(self.imag))

    def carry(self):
        return ComplexCarry(self.real, self.imag)


ONE = Pair(1.0)


def parts(matrix, axis):
    return Pair(*np.split(matrix, 2, axis=axis))


def through(D, x):
    return D * x if D.ndim == 1 else D.T @ x


def lru(cell, params, carry, x):
    eigenvalues = Pair(-np.exp(params["nu_log"]), np.exp(params["theta_log"])).exp()
    Bx = Pair(x).times_of(parts(params["kernel"], 1))
    h = eigenvalues * Pair(*carry) + Pair(np.exp(params["gamma_log"])) * Bx
    y = h.times(parts(params["output_kernel"], 0)).real + through(params["skip"], x)
    return h.carry(), y, {}


def discretised(cell, A, dt):
    z = A * Pair(dt)
    if cell.discretisation == "zoh":
        return z.exp(), (z.exp() - ONE) / A
    below = ONE - z * Pair(0.5)
    return (ONE + z * Pair(0.5)) / below, Pair(dt) / below


def s4d(cell, params, carry, x):
    A = Pair(-np.exp(params["log_decay"]), params["frequency"])
    a, c = discretised(cell, A, np.exp(params["log_dt"])[:, None])
    h = a * Pair(*carry) + c * parts(params["kernel"], 1) * Pair(x[:, None])
    y = 2 * np.sum((parts(params["output_kernel"], 1) * h).real, axis=1)
    return h.carry(), y + through(params["skip"], x), {}


def s5(cell, params, carry, x):
    decay = params["decay"]
    decay = np.where(decay.real < 1e-4, 1e-4, decay) if cell.clip else decay
    A = Pair(-decay, params["frequency"])
    a, c = discretised(cell, A, np.exp(params["log_dt"]))
    h = a * Pair(*carry) + c * Pair(x).times_of(parts(params["kernel"], 1))
    y = 2 * h.times(parts(params["output_kernel"], 0)).real
    return h.carry(), y + through(params["skip"], x), {}


def rglru(cell, params, h, x):
    products = [
        np.split(own @ kernel, 2)
        for own, kernel in zip(np.split(x, cell.heads), params["kernel"], strict=True)
    ]
    b = np.split(params.get("bias", np.zeros(2 * cell.hidden_size)), 2)
    r, i = (sigmoid(np.concatenate([p[k] for p in products]) + b[k]) for k in (0, 1))
    a = np.exp(-cell.c * r * softplus(-params["decay"]))
    h = a * h + np.sqrt(1 - a**2) * (i * x)
    return h, h, {"f": a}


OPTIONS = [
    cells.LRU(3, 5, state_size=4),
    cells.LRU(4, 4),
    cells.S4D(4, 4, state_size=6),
    cells.S4D(4, 4, state_size=6, discretisation="bilinear"),
    cells.S5(3, 5, state_size=4),
    cells.S5(4, 4, discretisation="bilinear", clip=True),
]
STEPS = {cells.LRU: lru, cells.S4D: s4d, cells.S5: s5}


@pytest.mark.parametrize("cell", OPTIONS, ids=repr)
def test_a_run_is_the_papers(cell):
    equals_paper(cell, STEPS[type(cell)])


@every_bias
@pytest.mark.parametrize("heads", [1, 2])
def test_a_gated_run_is_the_papers(heads, use_bias):
    equals_paper(cells.RGLRU(4, 4, heads=heads, c=3.0, use_bias=use_bias), rglru)


# Closed forms.


def complex_of(matrix, axis):
    real, imag = np.split(np.asarray(matrix), 2, axis=axis)
    return real + 1j * imag


def number(carry, t):
    return np.asarray(carry.real[t]) + 1j * np.asarray(carry.imag[t])


def fresh(cell, seed=0):
    params = cell.init(jax.random.key(seed))
    return jax.tree.map(lambda leaf: leaf.astype(float), params)


def impulse(steps, size, unit):
    return jnp.zeros((steps, size)).at[0, unit].set(1.0)


def test_the_impulse_response_of_the_lru_is_a_sum_of_powers():
    """Re(gamma B a^t C) at t, and D beside it at 0."""
    cell = cells.LRU(3, 5, state_size=4, r_min=0.9, r_max=0.99)
    p = fresh(cell)
    a = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    B = complex_of(p["kernel"], 1)[1] * np.sqrt(1 - np.abs(a) ** 2)
    powers = a ** np.arange(200)[:, None]
    expected = ((B * powers) @ complex_of(p["output_kernel"], 0)).real
    expected[0] += p["skip"][1]
    ys = unroll(cell, p, impulse(200, 3, 1))[1]
    np.testing.assert_allclose(ys, expected, rtol=1e-9, atol=1e-12)


def test_the_first_eigenvalues_of_the_lru_fill_their_ring():
    cell = cells.LRU(4, 3, state_size=2000, r_min=0.6, r_max=0.9, max_phase=1.0)
    p = fresh(cell)
    squares, phase = np.exp(-2 * np.exp(p["nu_log"])), np.exp(p["theta_log"])
    for values, low, high in (squares, 0.36, 0.81), (phase, 0, 1):
        assert low <= values.min() and values.max() <= high
        quantiles = np.quantile(values, [0.25, 0.5, 0.75])
        expected = low + (high - low) * np.array([0.25, 0.5, 0.75])
        np.testing.assert_allclose(quantiles, expected, atol=0.06 * (high - low))
    np.testing.assert_allclose(np.exp(2 * p["gamma_log"]), 1 - squares, rtol=1e-5)
    assert np.std(p["kernel"]) == pytest.approx(8**-0.5, rel=0.05)
    assert np.std(p["output_kernel"]) == pytest.approx(2000**-0.5, rel=0.05)
    assert p["skip"].shape == (4, 3)


def test_white_noise_leaves_the_lru_with_its_own_variance():
    """Of the state, by gamma: E|h|^2 is that of x B."""
    cell = cells.LRU(1, 64, r_min=0.5, r_max=0.95)
    p = fresh(cell)
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(4000, 1)))
    h = trajectory(cell, p, xs)
    power = np.mean(h.real[200:] ** 2 + h.imag[200:] ** 2, axis=0)
    B = np.abs(complex_of(p["kernel"], 1)[0]) ** 2
    np.testing.assert_allclose(power / B, 1, atol=0.4)
    assert np.mean(power / B) == pytest.approx(1, abs=0.05)


def test_the_extremes_of_the_ring_are_finite():
    for options in {}, {"r_min": 0.999999, "r_max": 1.0}:
        p = cells.LRU(2, 2, state_size=4096, **options).init(jax.random.key(3))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(p))


def exact(A, B, dt):
    """exp(dt A) and its integral times B, of columns."""
    size, inputs = B.shape
    block = scipy.linalg.expm(
        dt * np.block([[A, B], [np.zeros((inputs, size + inputs))]])
    )
    return block[:size, :size], block[:size, size:]


@pytest.mark.parametrize("parts", [1, 2])
def test_the_s5_starts_as_a_real_system_of_hippo(parts):
    """Solved exactly, in P real states, for an input that holds over every step."""
    cell = cells.S5(3, 5, state_size=8, parts=parts, dt_min=0.0499, dt_max=0.05)
    key = jax.random.key(0)
    keys = jax.random.split(key, 4)
    p = fresh(cell) | {"log_dt": jnp.full(4, np.log(0.05))}
    B = np.asarray(cell.kernel_init(keys[0], (3, 8), ("h",)), float)
    C = np.asarray(cell.output_init(keys[1], (8, 5), ("y",)), float)
    n = np.sqrt(np.arange(8 // parts) + 0.5)
    S = np.triu(np.outer(n, n), 1)
    M = np.kron(np.eye(parts), S - S.T - 0.5 * np.eye(len(n)))
    a, b = exact(M, B.T, 0.05)
    xs, h = inputs_of(cell, (20,)), np.zeros(8)
    ys = unroll(cell, p, xs)[1]
    for x, y in zip(np.asarray(xs), ys, strict=True):
        h = a @ h + b @ x
        np.testing.assert_allclose(y, h @ C + x @ p["skip"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("initial", ["lin", "inv"])
def test_a_held_input_is_solved_exactly(initial):
    """h(t) = (exp(t A) - 1) / A B for x = 1, at every step, whatever dt is."""
    cell = cells.S4D(2, 2, state_size=8, initial=initial)
    p = fresh(cell)
    A = -np.exp(np.asarray(p["log_decay"])) + 1j * np.asarray(p["frequency"])
    dt = np.exp(np.asarray(p["log_dt"]))[:, None]
    h = trajectory(cell, p, jnp.ones((50, 2)))
    for t in (1, 7, 50):
        expected = (np.exp(t * dt * A) - 1) / A
        ours = number(h, t - 1)
        np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_the_bilinear_rule_is_of_second_order():
    errors = []
    for dt in (0.02, 0.01):
        cell = cells.S4D(1, 1, state_size=8, initial="lin", discretisation="bilinear")
        p = fresh(cell) | {"log_dt": jnp.full(1, np.log(dt))}
        h = trajectory(cell, p, jnp.ones((round(1 / dt), 1)))
        A = -0.5 + 1j * np.pi * np.arange(4)
        errors.append(np.abs(number(h, -1)[0] - (np.exp(A) - 1) / A))
    np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.1)


def test_half_precision_does_not_cancel_where_the_step_is_short():
    """(exp(dt A) - 1) / A in float32, by an expm1 of complex numbers."""
    cell = cells.S4D(1, 1, state_size=4, initial="lin")
    p = cell.init(jax.random.key(0)) | {"log_dt": jnp.full(1, np.log(1e-6))}
    narrow = cell.prepare(jax.tree.map(lambda leaf: leaf.astype("float32"), p))
    A = -0.5 + 1j * np.pi * np.arange(2)
    expected = np.expm1(1e-6 * A) / A
    ours = np.asarray(narrow["kernel"].real) + 1j * np.asarray(narrow["kernel"].imag)
    np.testing.assert_allclose(ours[0], expected, rtol=1e-5)


def test_a_state_space_that_neither_decays_nor_turns_adds_up():
    """(exp(dt A) - 1) / A is dt where A is 0; derivatives are finite."""
    cell = cells.S5(1, 2, state_size=2)
    p = jax.tree.map(jnp.zeros_like, fresh(cell))
    p |= {"kernel": jnp.array([[1.0, 0.0]]), "log_dt": jnp.log(jnp.array([0.5]))}
    h = trajectory(cell, p, jnp.ones((4, 1)))
    np.testing.assert_allclose(h.real[:, 0], [0.5, 1, 1.5, 2])
    slope = jax.grad(lambda p: jnp.sum(unroll(cell, p, jnp.ones((4, 1)))[1]))(p)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_initial_frequencies_are_those_of_the_paper():
    N = 64
    n = np.arange(N // 2)

    def first(initial):
        p = cells.S4D(2, 2, initial=initial).init(jax.random.key(0))
        np.testing.assert_allclose(np.exp(p["log_decay"]), 0.5, rtol=1e-6)
        return np.asarray(p["frequency"][1]), np.asarray(p["kernel"][1])

    lin, B = first("lin")
    np.testing.assert_allclose(lin, np.pi * n, rtol=1e-6)
    np.testing.assert_allclose(B, np.repeat([1, 0], N // 2))
    inv, _ = first("inv")
    np.testing.assert_allclose(inv, N / np.pi * (N / (2 * n + 1) - 1), rtol=1e-6)
    legs, B = first("legs")
    A = np.diag(np.full(N, -0.5))
    for row in range(N):
        for column in range(row):
            A[row, column] = -np.sqrt((row + 0.5) * (column + 0.5))
            A[column, row] = -A[row, column]
    found = np.linalg.eigvals(A)
    np.testing.assert_allclose(found.real, -0.5, atol=1e-9)
    np.testing.assert_allclose(legs, np.sort(found.imag)[N // 2 :], rtol=1e-6)
    # The inverse law is that of these, from the largest down.
    np.testing.assert_allclose(inv[:4], legs[::-1][:4], rtol=0.1)
    assert np.all(B[: N // 2] > 0) and not np.any(B[N // 2 :])


def test_half_of_hippos_input_in_the_normal_part_is_hippo_for_many_states():
    """Of kernels sqrt(2n + 1) exp(-t) P_n(2 exp(-t) - 1), integrated from 0 to t."""
    w, V, b = hippo(256)
    t, A = np.linspace(0.1, 3, 50)[:, None], -0.5 + 1j * w
    modes = (np.exp(A * t) - 1) / A * (V.conj().T @ b / 2)
    found = 2 * (modes @ V[:3].T).real
    for n in range(3):
        P = np.polynomial.legendre.Legendre.basis(n).integ()
        expected = np.sqrt(2 * n + 1) * (P(1) - P(2 * np.exp(-t[:, 0]) - 1)) / 2
        np.testing.assert_allclose(found[:, n], expected, atol=0.02)


def test_other_initial_values_are_those_of_the_papers():
    cell = cells.S4D(3000, 3000, state_size=2)
    p = cell.init(jax.random.key(0))
    assert np.std(p["output_kernel"]) == pytest.approx(0.5**0.5, rel=0.05)
    assert np.std(p["skip"]) == pytest.approx(1, rel=0.05)
    quantiles = np.quantile(p["log_dt"], [0.0, 0.5, 1.0])
    np.testing.assert_allclose(quantiles, np.log([0.001, 0.01, 0.1]), atol=0.15)
    unit = cells.RGLRU(1, 1)
    a = jax.nn.sigmoid(
        jax.vmap(unit.init)(jax.random.split(jax.random.key(0), 3000))["decay"]
    )
    quantiles = np.quantile(a**8, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(quantiles, [0.9, 0.9495, 0.999], atol=0.004)


def test_heads_gate_their_own_units():
    cell = cells.RGLRU(4, 4, heads=2)
    p, x = params_of(cell), inputs_of(cell, ())
    slope = jax.jacobian(lambda x: cell.project(cell.prepare(p), x).a)(x)
    seen = np.abs(slope) > 0
    np.testing.assert_array_equal(seen, np.kron(np.eye(2), np.ones((2, 2))) > 0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "cell",
    [
        cells.LRU(4, 4, r_min=0.99),
        cells.S4D(4, 4, state_size=4),
        cells.S5(4, 4),
        cells.RGLRU(4, 4, heads=2),
    ],
    ids=repr,
)
def test_ten_thousand_steps_of_large_inputs_stay_finite(cell, dtype):
    """And what follows, of zeros; gradients too."""
    p = jax.tree.map(lambda leaf: leaf.astype(dtype), fresh(cell))
    xs = 1e4 * inputs_of(cell, (10_000,)).at[-100:].set(0)
    xs = xs.astype(dtype)

    def loss(p, xs):
        final, ys = unroll(cell, p, xs)
        return jnp.mean(jnp.abs(ys.astype("float32"))), (final, ys)

    graded = jax.value_and_grad(loss, (0, 1), has_aux=True)
    (_, outcome), gradients = jax.jit(graded)(p, xs)
    for leaf in jax.tree.leaves((outcome, gradients)):
        assert np.isfinite(leaf.astype("float32")).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_a_gate_that_is_shut_keeps_all_and_has_a_gradient(dtype):
    """a is 1 to rounding there, and sqrt(1 - a^2) has no derivative."""
    cell = cells.RGLRU(2, 2)
    p = jax.tree.map(lambda leaf: leaf.astype(dtype), params_of(cell))
    for bias in (-1e4, -60.0, -10.0):
        shut = p | {"bias": jnp.asarray([bias, bias, 0.3, -0.2], dtype)}

        def loss(p):
            h, _ = unroll(cell, p, jnp.ones((5, 2), dtype), jnp.ones(2, dtype))
            return jnp.sum(h)

        value, slope = jax.value_and_grad(loss)(shut)
        assert abs(value - 2) < 0.6
        assert all(np.isfinite(leaf.astype(float)).all() for leaf in slope.values())


@pytest.mark.slow
def test_the_root_has_its_exact_derivative():
    """In float32 against float64, for a gate from open to all but shut."""
    cell = cells.RGLRU(1, 1)
    p = {"kernel": jnp.zeros((1, 1, 2)), "decay": jnp.array([3.0])}

    def b(bias, dtype):
        params = jax.tree.map(lambda leaf: leaf.astype(dtype), p)
        params["bias"] = jnp.stack([bias, jnp.zeros_like(bias)])
        return cell.project(cell.prepare(params), jnp.ones(1, dtype)).b[0]

    for bias in (3.0, 0.0, -5.0, -20.0, -40.0):
        ours = jax.grad(b)(jnp.float32(bias), "float32")
        np.testing.assert_allclose(
            ours, jax.grad(b)(jnp.float64(bias), "float64"), rtol=1e-5
        )


def test_what_is_kept_is_less_than_one():
    cell = cells.RGLRU(4, 4)
    p = params_of(cell)
    kept = jax.vmap(lambda x: cell.project(cell.prepare(p), x).a)(inputs_of(cell, (99,)))
    assert np.all(kept > 0) and np.all(kept < 1)


WRONG = {
    "r_min is 0.5 and r_max 0.5": lambda: cells.LRU(3, 5, r_min=0.5, r_max=0.5),
    "r_max 1.1": lambda: cells.LRU(3, 5, r_max=1.1),
    "max_phase is 0": lambda: cells.LRU(3, 5, max_phase=0),
    "state_size is 0": lambda: cells.LRU(3, 5, state_size=0),
    "input_size is 'x'": lambda: cells.LRU("x", 5),
    "expected equal ones, as every unit of x": lambda: cells.S4D(3, 5),
    "state_size is 5, expected an even number": lambda: cells.S4D(4, 4, state_size=5),
    "initial is 'real'": lambda: cells.S4D(4, 4, initial="real"),
    "S4D: discretisation is 'euler'": lambda: cells.S4D(4, 4, discretisation="euler"),
    "dt_min is 0.1 and dt_max 0.1": lambda: cells.S5(3, 5, dt_min=0.1),
    "dt_min is 0": lambda: cells.S5(3, 5, dt_min=0),
    "state_size is 6, expected a multiple of 4": lambda: cells.S5(
        3, 5, state_size=6, parts=2
    ),
    "clip is 1": lambda: cells.S5(3, 5, clip=1),
    "expected equal ones, as x goes into h": lambda: cells.RGLRU(3, 5),
    "heads is 3, expected a divisor": lambda: cells.RGLRU(4, 4, heads=3),
    "c is -1": lambda: cells.RGLRU(4, 4, c=-1),
    "a_min is 0.9 and a_max 1": lambda: cells.RGLRU(4, 4, a_max=1),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_field_is_named(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()
