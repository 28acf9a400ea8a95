"""Every estimator against its paper's definition, by a loop with whole Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from zoo import inputs_of, params_of

import jaxrnn
from jaxrnn import GRU, LSTM, RFLO, RTRL, UORO, Cell, Elman, EProp, OneStep, Scan, SnAp
from jaxrnn.arguments.keys import fold_in, keys_in_time
from jaxrnn.cells import CTRNN, MinGRU

T = 7


def loss(y, target):
    return jnp.sum(jnp.sin(y + target))


def example(cell):
    targets = jnp.asarray(np.random.default_rng(9).normal(size=T))
    return params_of(cell), inputs_of(cell, (T,)), targets


def online(cell, method, **options):
    found = jaxrnn.online_gradients(loss, cell, *example(cell), method=method, **options)
    return ravel_pytree(found.gradients)[0]


def steps_of(cell):
    """For every step (J, D, dL/dh, dL/dq, carry before, x), dense, as numbers."""
    params, xs, targets = example(cell)
    flat, of_params = ravel_pytree(params)
    carry = cell.initial_carry(params)
    vector, of_carry = ravel_pytree(carry)

    def new(vector, flat, x):
        params = of_params(flat)
        return ravel_pytree(cell.step(params, of_carry(vector), cell.project(params, x)))[
            0
        ]

    def lost(vector, flat, x, target):
        params = of_params(flat)
        y = cell.output(params, of_carry(vector), cell.project(params, x))
        return loss(y, target)

    jacobians = jax.jit(jax.jacrev(new, (0, 1)))
    slopes = jax.jit(jax.grad(lost, (0, 1)))
    found = []
    for x, target in zip(xs, targets, strict=True):
        J, D = jacobians(vector, flat, x)
        before, vector = vector, new(vector, flat, x)
        signal, direct = slopes(vector, flat, x, target)
        found.append((*map(np.asarray, (J, D, signal, direct)), of_carry(before), x))
    return found


def summed(cell, advance):
    """The gradient of an influence that `advance(M, J, D, before, x)` carries."""
    steps = steps_of(cell)
    M, total = np.zeros_like(steps[0][1]), 0.0
    for J, D, signal, direct, *rest in steps:
        M = advance(M, J, D, *rest)
        total = total + signal @ M + direct
    return total


def close(actual, expected):
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=1e-10 * np.abs(expected).max()
    )


def kept_after(cell, n):
    """The entries of an influence that are other than zero after n steps."""
    M = 0.0
    for J, D, *_ in steps_of(cell)[1 : 1 + n]:
        M = J @ M + D if np.ndim(M) else D
    return M != 0


class Banded(Cell):
    """h_k is driven by h_(k-1) alone, so that an influence spreads step by step."""

    input_size: int = 4

    def init(self, key):
        return {"w": jnp.ones(4), "u": jnp.ones(4)}

    def initial_carry(self, params):
        return jnp.zeros(4)

    def step(self, params, carry, drive):
        before = jnp.concatenate([carry[-1:], carry[:-1]])
        return jnp.tanh(params["w"] * drive + params["u"] * before)


@pytest.mark.parametrize(
    ("cell", "n"),
    [
        (Banded(), 2),
        *(
            pytest.param(cell, n, marks=pytest.mark.slow)
            for cell in (Elman(3, 4), GRU(3, 4), GRU(3, 4, reset_after=False), LSTM(3, 4))
            for n in (1, 2, 3)
        ),
        *(pytest.param(Banded(), n, marks=pytest.mark.slow) for n in (1, 3, 9)),
    ],
)
def test_snap_keeps_what_n_steps_can_reach(cell, n):
    mask = kept_after(cell, n)
    expected = summed(cell, lambda M, J, D, *_: mask * (J @ M + D))
    close(online(cell, SnAp(n)), expected)


@pytest.mark.slow
def test_snap_of_one_step_keeps_the_diagonal_of_a_plain_network():
    """As equation and as numbers: p' = (1 - h'^2) (U_kk p + dz_k / dq)."""
    cell = Elman(3, 4)
    U = np.diag(params_of(cell)["recurrent_kernel"])
    own = kept_after(cell, 1)

    def advance(M, J, D, h, x):
        params = example(cell)[0]
        new = np.asarray(cell.step(params, h, cell.project(params, x)))
        return own * (((1 - new**2) * U)[:, None] * M + D)

    close(online(cell, SnAp(1)), summed(cell, advance))


@pytest.mark.slow
def test_snap_of_many_steps_is_exact():
    close(online(Banded(), SnAp(4)), online(Banded(), RTRL()))


def test_eprop_has_the_gates_of_a_unit_and_nothing_of_the_others():
    """GRU: the trace fades by z. (Of the whole immediate influence.)"""
    cell = GRU(3, 4)
    params = example(cell)[0]

    def advance(M, J, D, h, x):
        z = cell.gates(params, h, cell.project(params, x))["z"]
        return np.asarray(z)[:, None] * M + D

    close(online(cell, EProp()), summed(cell, advance))


@pytest.mark.slow
def test_eprop_of_an_lstm():
    """Bellec et al.: e_c' = f e_c + D_c, and e_h' = o (1 - tanh(c')^2) e_c' + what the
    output gate makes by itself."""
    cell = LSTM(3, 4)
    params = example(cell)[0]

    def advance(M, J, D, carry, x):
        drive = cell.project(params, x)
        gates = cell.gates(params, carry, drive)
        f, o = np.asarray(gates["f"]), np.asarray(gates["o"])
        slope = o * (1 - np.tanh(np.asarray(cell.step(params, carry, drive).c)) ** 2)
        c = f[:, None] * M[4:] + D[4:]
        h = slope[:, None] * (c - D[4:]) + D[:4]
        return np.concatenate([h, c])

    close(online(cell, EProp()), summed(cell, advance))


@pytest.mark.slow
def test_eprop_is_exact_where_units_do_not_meet():
    cell = MinGRU(3, 4)
    close(online(cell, EProp()), summed(cell, lambda M, J, D, *_: J @ M + D))


class Kept(jaxrnn.Wrapper):
    """A cell whose step is computed again on the way back."""

    def step(self, params, carry, drive):
        return jax.checkpoint(self.cell.step)(params, carry, drive)


@pytest.mark.parametrize("method", [EProp(), SnAp(1)])
def test_a_checkpoint_changes_nothing(method):
    close(online(Kept(Elman(3, 4)), method), online(Elman(3, 4), method))


def test_rflo_fades_by_the_leak():
    """Murray 2019, as equations: p' = (1 - a) p + a f'(u) h, and so for x and b."""
    cell = CTRNN(3, 4, tau=50.0, dt=20.0)
    params, xs, targets = example(cell)
    W, U, b = (
        np.asarray(params[name]) for name in ("kernel", "recurrent_kernel", "bias")
    )
    a, h = 0.4, np.zeros(4)
    p = {"kernel": 0.0, "recurrent_kernel": 0.0, "bias": 0.0}
    total = dict(p)
    for x, target in zip(np.asarray(xs), np.asarray(targets), strict=True):
        u = x @ W + h @ U + b
        slope = a * (1 - np.tanh(u) ** 2)
        made = {"kernel": x[:, None], "recurrent_kernel": h[:, None], "bias": 1.0}
        p = {name: (1 - a) * p[name] + slope * made[name] for name in p}
        h = (1 - a) * h + a * np.tanh(u)
        error = np.cos(h + target)
        total = {name: total[name] + error * p[name] for name in p}
    close(online(cell, RFLO()), ravel_pytree(total)[0])


@pytest.mark.slow
def test_random_feedback_has_the_size_that_is_said():
    cell, method = CTRNN(3, 40), RFLO(random_feedback=True)
    state = jaxrnn.online_init(
        cell,
        params_of(cell),
        jnp.zeros((2, 3)),
        method=method,
        method_key=jax.random.key(3),
    )
    assert state.fixed.shape == (40, 40)
    np.testing.assert_allclose(np.std(state.fixed) * np.sqrt(40), 1, atol=0.1)


@pytest.mark.slow
def test_random_feedback_by_a_loop():
    cell, key = CTRNN(3, 4, tau=50.0, dt=20.0), jax.random.key(3)
    params, xs, targets = example(cell)
    method = RFLO(random_feedback=True)
    state = jaxrnn.online_init(cell, params, xs[0], method=method, method_key=key)
    B, M, total = np.asarray(state.fixed), 0.0, 0.0
    _, ys = jaxrnn.unroll(cell, params, xs)
    for (_, D, *_), y, target in zip(steps_of(cell), ys, targets, strict=True):
        M = 0.6 * M + D
        total = total + (B @ np.cos(np.asarray(y) + target)) @ M
    close(online(cell, method, method_key=key), total)


@pytest.mark.parametrize(
    "cell", [GRU(3, 4), pytest.param(Elman(3, 4), marks=pytest.mark.slow)]
)
def test_one_step_knows_no_past(cell):
    close(online(cell, OneStep()), summed(cell, lambda M, J, D, *_: D))
    params, xs, targets = example(cell)

    def truncated(params):
        _, ys = jaxrnn.unroll(cell, params, xs, method=Scan(truncate=1))
        return jnp.sum(jax.vmap(loss)(ys, targets))

    close(online(cell, OneStep()), ravel_pytree(jax.grad(truncated)(params))[0])


def test_uoro_by_a_loop_with_its_signs():
    cell, key = Elman(3, 4), jax.random.key(5)
    s, w, total = np.zeros(4), 0.0, 0.0
    size = lambda v: np.linalg.norm(v) + 1e-7  # noqa: E731
    for t, (J, D, signal, direct, *_) in enumerate(steps_of(cell)):
        own = fold_in(keys_in_time(key, jnp.asarray(t), ()).step, 1)
        v = np.asarray(jax.random.rademacher(own, (4,), float))
        w = w + np.zeros(D.shape[1])
        moved, made = J @ s, v @ D
        r0, r1 = np.sqrt(size(w) / size(moved)), np.sqrt(size(made) / size(v))
        s, w = r0 * moved + r1 * v, w / r0 + made / r1
        total = total + (signal @ s) * w + direct
    close(online(cell, UORO(), method_key=key), total)


def test_uoro_has_the_exact_gradient_for_its_mean():
    """Within four standard errors, in every entry and in the norm of all."""
    cell, count = Elman(3, 4), 4000
    params, xs, targets = example(cell)
    keys = jax.random.split(jax.random.key(0), count)

    def one(key):
        found = jaxrnn.online_gradients(
            loss, cell, params, xs, targets, method=UORO(), method_key=key
        )
        return ravel_pytree(found.gradients)[0]

    every = np.asarray(jax.jit(jax.vmap(one))(keys))
    exact = np.asarray(online(cell, RTRL()))
    error = every.std(0, ddof=1) / np.sqrt(count)
    off = (every.mean(0) - exact) / error
    assert np.abs(off).max() < 4.5 and np.sqrt(np.mean(off**2)) < 1.5
    assert error.max() < 0.2 * np.abs(exact).max()  # so that it says something


@pytest.mark.slow
def test_uoro_of_a_start_that_is_learned():
    cell, count = jaxrnn.LearnedCarry(Elman(3, 4)), 4000
    params, xs, targets = example(cell)
    resets = jnp.arange(T) == 3

    def run(method, key=None):
        found = jaxrnn.online_gradients(
            loss, cell, params, xs, targets, resets=resets, method=method, method_key=key
        )
        return ravel_pytree(found.gradients)[0]

    keys = jax.random.split(jax.random.key(0), count)
    every = np.asarray(jax.jit(jax.vmap(lambda key: run(UORO(), key)))(keys))
    off = every.mean(0) - np.asarray(run(RTRL()))
    assert np.abs(off / (every.std(0, ddof=1) / np.sqrt(count) + 1e-12)).max() < 4.5


@pytest.mark.slow
def test_uoro_draws_signs_of_their_own_for_every_example_and_step():
    cell, key = GRU(3, 4), jax.random.key(1)
    params, (x, *_), _ = example(cell)
    xs = jnp.stack([x, x])
    state = jaxrnn.online_init(cell, params, xs, method=UORO(), method_key=key)
    columns = []
    for _ in range(2):
        state, _ = jaxrnn.online_step(loss, params, state, xs, jnp.zeros(2))
        columns += [*np.asarray(state.influence.column)]
    signs = {tuple(np.sign(column)) for column in columns[:2]}
    assert len(signs) == 2 and len({column.tobytes() for column in columns}) == 4
