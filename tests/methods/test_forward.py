"""What the loop of a forward pass makes: outputs, and drives, that are few or many."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Cell, Scan, unroll
from jaxrnn.cells import MLSTM, S4D
from jaxrnn.methods.sizes import LITTLE


class Watched(Cell):
    """Forty units of which one number is seen, made of the carry, the drive and U."""

    input_size: int

    def init(self, key):
        U, V = jax.random.normal(key, (2, 40, 40)) / 7
        return {"U": U, "V": V[: self.input_size], "w": V[-1]}

    def initial_carry(self, params):
        return jnp.zeros(40, params["U"].dtype)

    def project(self, params, x, keys=None):
        return jnp.sin(x) @ params["V"]

    def step(self, params, carry, drive):
        return jnp.tanh(drive + carry @ params["U"])

    def output(self, params, carry, drive):
        return jnp.vdot(carry * drive, params["w"])[None]


CELLS = [Watched(3), S4D(3, 3), MLSTM(32, 32, heads=1)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("method", [Scan(), Scan(segment=3)], ids=repr)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_outputs_made_in_the_loop_are_those_of_a_python_loop(cell, method, reverse):
    T, B = 7, 2
    with jax.enable_x64():
        params = jax.tree.map(jnp.float64, cell.init(jax.random.key(0)))
        xs = jax.random.normal(jax.random.key(1), (T, B, cell.input_size), jnp.float64)
        carry = jax.eval_shape(cell, params, cell.initial_carry(params), xs[0, 0])
        of_carry, of_y = (sum(x.size for x in jax.tree.leaves(one)) for one in carry)
        assert of_carry >= LITTLE * of_y
        lengths = jnp.array([T, 4])

        def ours(params, xs):
            how = dict(lengths=lengths, reverse=reverse, method=method)
            return unroll(cell, params, xs, **how)[1]

        def loop(params, xs):
            columns = []
            for b, n in enumerate((T, 4)):
                carry, rows = cell.initial_carry(params), {}
                for t in reversed(range(n)) if reverse else range(n):
                    carry, rows[t] = cell(params, carry, xs[t, b])
                empty = jnp.zeros_like(rows[0])
                columns.append(jnp.stack([rows.get(t, empty) for t in range(T)]))
            return jnp.stack(columns, axis=1)

        weights = jax.random.normal(jax.random.key(2), loop(params, xs).shape)
        found, wanted = (
            jax.value_and_grad(lambda p, x: jnp.sum(weights * run(p, x)), (0, 1))(  # noqa: B023
                params, xs
            )
            for run in (jax.jit(ours), loop)
        )
        chex.assert_trees_all_close(found, wanted, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(ours(params, xs), loop(params, xs), atol=1e-13)
        tangents = jax.tree.map(jnp.sin, (params, xs))
        both = (jax.jvp(run, (params, xs), tangents)[1] for run in (ours, loop))
        np.testing.assert_allclose(*both, rtol=1e-10, atol=1e-12)
        pairs = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), params)
        every = jax.vmap(ours, (0, None))(pairs, xs)
        half = loop(jax.tree.map(lambda leaf: leaf[1], pairs), xs)
        np.testing.assert_allclose(every[1], half, atol=1e-13)


@pytest.mark.parametrize("cell", CELLS[1:], ids=lambda cell: type(cell).__name__)
def test_accelerators_make_outputs_of_a_segment_at_once(cell):
    params, xs = cell.init(jax.random.key(0)), jnp.ones((12, 4, cell.input_size))
    traced = jax.jit(lambda p, xs: unroll(cell, p, xs)[1]).trace(params, xs)

    def writes(platform):  # of the leaves of carries, or of one output
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        return text.count("stablehlo.dynamic_update_slice")

    assert writes("cpu") < writes("cuda")
