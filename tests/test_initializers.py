"""What each initializer draws, measured on the draw itself."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Elman,
    Embedding,
    cells,
    initializers,
)

H = 64


def gates_of(params, name, count):
    return np.split(np.asarray(params[name]), count, axis=-1)


@pytest.mark.parametrize(("cell", "count"), [(LSTM(3, H), 4), (GRU(3, H), 3)])
def test_recurrent_kernels_are_orthogonal_gate_by_gate(cell, count, key):
    blocks = gates_of(cell.init(key), "recurrent_kernel", count)
    for block in blocks:
        np.testing.assert_allclose(block.T @ block, np.eye(H), atol=1e-12)
    assert not np.allclose(blocks[0], blocks[1])


@pytest.mark.slow
def test_an_ensemble_is_drawn_key_by_key_and_decomposed_one_after_the_other(key):
    """Side by side, batched decompositions wait for XLA's threads for ever on CPU."""
    cell = Bidirectional(GRU(2, 3), LSTM(2, 3))
    keys = jax.random.split(key, (2, 2))
    init = jax.vmap(jax.vmap(cell.init))
    drawn = jax.jit(init)(keys)
    for i, j in np.ndindex(2, 2):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a[i, j], b, rtol=1e-12),  # noqa: B023
            drawn,
            cell.init(keys[i, j]),
        )
    decompositions = re.findall(
        r"f64\[([\d,]+)\] = qr\[", str(jax.make_jaxpr(init)(keys))
    )
    assert decompositions and set(decompositions) == {"3,3"}


def test_identity_makes_an_irnn(key):
    cell = Elman(3, H, "relu", recurrent_init=initializers.identity)
    np.testing.assert_array_equal(cell.init(key)["recurrent_kernel"], np.eye(H))
    with pytest.raises(ValueError, match="expected a square one"):
        Elman(3, H, kernel_init=initializers.identity).init(key)


def test_uniform_is_that_of_torch_for_kernels_and_biases(key):
    draw = dict.fromkeys(
        ("kernel_init", "recurrent_init", "bias_init"), initializers.uniform
    )
    for cell in (LSTM(256, H, **draw), GRU(256, H, **draw), Elman(256, H, **draw)):
        for leaf in jax.tree.leaves(cell.init(key)):
            bound = H**-0.5
            assert np.abs(leaf).max() <= bound
            # The sample variance of n draws is bound^2/3 (1 +- sqrt(0.8/n)).
            error = 5 * np.sqrt(0.8 / leaf.size)
            np.testing.assert_allclose(np.mean(leaf**2), bound**2 / 3, rtol=error)


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (initializers.lecun_normal, 1 / 400),
        (initializers.glorot_uniform, 2 / (400 + H)),
    ],
)
def test_input_kernels_have_the_variance_of_one_gate(initializer, variance, key):
    for block in gates_of(LSTM(400, H, kernel_init=initializer).init(key), "kernel", 4):
        np.testing.assert_allclose(np.var(block), variance, rtol=0.05)
        assert abs(np.mean(block)) < 5 * np.sqrt(variance / block.size)


def test_the_forget_gate_starts_at_one_and_nothing_is_added_at_run_time(key):
    cell = LSTM(3, H)
    params = cell.init(key)
    i, f, g, o = gates_of(params, "bias", 4)
    np.testing.assert_array_equal(f, 1)
    np.testing.assert_array_equal([i, g, o], 0)
    zeroed = jax.tree.map(jnp.zeros_like, params)
    drive = cell.project(zeroed, jnp.zeros(cell.input_shape))
    gates = cell.gates(zeroed, cell.initial_carry(params), drive)
    np.testing.assert_array_equal(gates["f"], 0.5)


def test_chrono_spreads_the_memory_up_to_t_max(key):
    chrono = initializers.Chrono(t_max=1000)
    i, f, g, o = np.split(np.asarray(chrono(key, (4 * 4096,), "ifgo")), 4)
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal([g, o], 0)
    spread = np.exp(f)
    assert spread.min() >= 1 and spread.max() <= 999
    # exp(b_f) is uniform: a mean of 500 with a standard error of 998/sqrt(12 n).
    assert abs(spread.mean() - 500) < 5 * 998 / np.sqrt(12 * 4096)


def test_chrono_of_a_gru_is_in_the_gate_that_keeps(key):
    params = GRU(3, H, bias_init=initializers.Chrono(t_max=100)).init(key)
    r, z, n = gates_of(params, "bias", 3)
    assert z.min() > 0 and z.max() <= np.log(99)
    np.testing.assert_array_equal([r, n, params["recurrent_bias"]], 0)


@pytest.mark.parametrize("name", "MGU LightRU STAR SGU TauGRU MUT1 MUT2 MUT3".split())
def test_chrono_where_a_gate_writes_what_it_lets_go(name, key):
    """It keeps 1 - i: less is written for longer."""
    cell = getattr(cells, name)(3, H, bias_init=initializers.Chrono(t_max=100))
    blocks = gates_of(cell.init(key), "bias", len(cell.bias_blocks))
    for gate, block in zip(cell.bias_blocks, blocks, strict=True):
        if gate == "i":
            assert block.max() < 0 and block.min() >= -np.log(99)
        else:
            np.testing.assert_array_equal(block, 0)


def test_a_uniform_is_between_its_ends(key):
    drawn = np.asarray(initializers.Uniform(-1, 3)(key, (100, 100), ("h",)))
    assert -1 <= drawn.min() < -0.99 and 2.99 < drawn.max() < 3
    assert abs(drawn.mean() - 1) < 5 * (4 / 12**0.5) / 100
    same = initializers.Uniform(np.float32(-1), np.int64(3))
    assert same == initializers.Uniform(-1.0, 3.0)
    assert repr(same) == "initializers.Uniform(-1.0, 3.0)"
    for ends in [(1, 1), (2, 1), (0, "1"), (0, np.inf), (np.nan, 1), (False, 1)]:
        with pytest.raises(ValueError, match=r"initializers.Uniform: low is .*expected"):
            initializers.Uniform(*ends)


def test_a_row_uniform_is_by_the_rows(key):
    drawn = initializers.row_uniform(key, (16, 4000), ("h",))
    assert 0.249 < np.abs(drawn).max() <= 0.25
    np.testing.assert_allclose(np.std(drawn), 0.25 / 3**0.5, rtol=0.02)


def test_rows_of_an_embedding_have_unit_length_on_average(key):
    rows = Embedding(2000, 32).init(key)["embedding"]
    np.testing.assert_allclose(np.mean(np.sum(rows**2, axis=1)), 1, rtol=0.03)


def test_jax_initializers_are_lifted_gate_by_gate(key):
    he = initializers.PerGate(jax.nn.initializers.he_normal)
    for block in gates_of(LSTM(400, H, kernel_init=he).init(key), "kernel", 4):
        np.testing.assert_allclose(np.var(block), 2 / 400, rtol=0.05)


def test_jax_initializers_are_lifted_for_all_gates_at_once(key):
    cell = LSTM(
        400,
        H,
        kernel_init=initializers.PerKernel(jax.nn.initializers.glorot_uniform),
        recurrent_init=initializers.PerKernel(jax.nn.initializers.orthogonal),
    )
    params = cell.init(key)
    variance = 2 / (400 + 4 * H)  # of one gate alone: 2 / (400 + H)
    np.testing.assert_allclose(np.var(params["kernel"]), variance, rtol=0.03)
    U = np.asarray(params["recurrent_kernel"])
    np.testing.assert_allclose(U @ U.T, np.eye(H), atol=1e-5)


def test_what_cannot_be_an_initializer_says_so(key):
    with pytest.raises(TypeError, match=r"lifted by jaxrnn\.initializers\.PerGate"):
        LSTM(3, 5, kernel_init=jax.nn.initializers.he_normal()).init(key)
    with pytest.raises(TypeError, match=r"expected one like .*he_normal, not called"):
        initializers.PerGate(jax.nn.initializers.he_normal())
    with pytest.raises(TypeError, match=r"PerKernel: factory is .*, expected one like"):
        initializers.PerKernel(jax.nn.initializers.he_normal())
    with pytest.raises(ValueError, match=r'expected one called "f"'):
        GRU(3, 5, bias_init=initializers.unit_forget).init(key)
    for cell in (Elman, cells.OriginalLSTM, cells.GatedAntisymmetricRNN):
        with pytest.raises(ValueError, match=r'expected one called "f" or "z"'):
            cell(3, 5, bias_init=initializers.Chrono(10)).init(key)
    with pytest.raises(ValueError, match="t_max is 2"):
        initializers.Chrono(2)
    with pytest.raises(ValueError, match=r"gave the shape \(4,\), expected \(3, 4\)"):
        Dense(3, 4, kernel_init=_too_small).init(key)


def _too_small(key, shape, gates):
    return jnp.zeros(shape[1:])


def test_parameters_are_float32_without_x64(key):
    with jax.enable_x64(False):
        params = LSTM(3, 5).init(jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
