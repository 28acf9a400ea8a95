"""What the functions of this room refuse, and in which words."""

import jax
import jax.numpy as jnp
import pytest
from zoo import params_of

import jaxrnn
from jaxrnn import GRU, RTRL, UORO, Bidirectional, Elman, Reversed, Scan, SnAp, Stack

CELL = Elman(3, 4)
XS, TARGETS = jnp.ones((5, 2, 3)), jnp.zeros((5, 2))


def loss(y, target):
    return jnp.sum(y) + target


def run(cell=CELL, xs=XS, targets=TARGETS, loss=loss, **options):
    return jaxrnn.online_gradients(loss, cell, params_of(cell), xs, targets, **options)


@pytest.mark.parametrize(
    "cell",
    [
        Bidirectional(GRU(3, 2), GRU(3, 2)),
        Stack((Reversed(GRU(3, 2)), Elman(2, 4))),
        Reversed(GRU(3, 2)),
    ],
)
def test_cells_of_whole_sequences_are_refused(cell):
    with pytest.raises(
        TypeError, match=r"online_gradients: .* cannot take a single step"
    ):
        run(cell)
    with pytest.raises(TypeError, match=r"online_init: .* cannot take a single step"):
        jaxrnn.online_init(cell, params_of(cell), jnp.ones(3))


def test_methods():
    with pytest.raises(TypeError, match=r"method is Scan\(\), expected RTRL\(\), SnAp"):
        run(method=Scan())
    with pytest.raises(TypeError, match="expected RTRL"):
        run(method=RTRL)
    with pytest.raises(ValueError, match=r"method_key is None, and UORO\(\) draws"):
        run(method=UORO())
    with pytest.raises(ValueError, match="SnAp: n is 0, expected a positive int"):
        SnAp(0)
    with pytest.raises(ValueError, match="RFLO: random_feedback is 1, expected True"):
        jaxrnn.RFLO(1)  # pyright: ignore[reportArgumentType]


def test_losses():
    with pytest.raises(TypeError, match="loss is of type Elman, expected a function"):
        jaxrnn.online_gradients(CELL, loss, params_of(CELL), XS, TARGETS)
    with pytest.raises(ValueError, match=r"loss gave \(4,\), expected a scalar"):
        run(loss=lambda y, target: y)
    with pytest.raises(TypeError, match="loss gave the dtype int64, expected a real"):
        run(loss=lambda y, target: jnp.argmax(y))


def test_targets_fit_the_inputs():
    with pytest.raises(
        ValueError, match=r"targets has shape \(2, 5\), expected \(5, 2\)"
    ):
        run(targets=TARGETS.T)
    state = jaxrnn.online_init(CELL, params_of(CELL), XS[0])
    with pytest.raises(
        ValueError, match=r"target has shape \(3,\), expected \(2,\) first"
    ):
        jaxrnn.online_step(loss, params_of(CELL), state, XS[0], jnp.zeros(3))


def test_a_context_is_no_state():
    cell = jaxrnn.BahdanauAttention(GRU(7, 4), 4, jaxrnn.Dot())
    with pytest.raises(TypeError, match="holds a Context, which is no state"):
        jaxrnn.online_init(cell, params_of(cell), jnp.ones(cell.input_shape))


def test_states():
    params = params_of(CELL)
    with pytest.raises(TypeError, match="state is of type ArrayImpl, expected what"):
        jaxrnn.online_step(loss, params, jnp.zeros(4), XS[0, 0], 0.0)
    narrow = jax.tree.map(lambda leaf: leaf.astype("float32"), params)
    state = jaxrnn.online_init(CELL, narrow, jnp.ones(3, "float32"))
    with jax.numpy_dtype_promotion("standard"):
        with pytest.raises(TypeError, match="x of float64 widens the carry"):
            jaxrnn.online_step(loss, narrow, state, jnp.ones(3), 0.0)
    with pytest.raises(ValueError, match="carry has shape"):
        state = jaxrnn.online_init(CELL, params, XS[0])
        jaxrnn.online_step(loss, params, state, XS[0, :1], jnp.zeros(1))
