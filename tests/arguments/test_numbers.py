"""Numbers and flags in the fields of cells: refused by name, and Python's in the end."""

import jax.numpy as jnp
import numpy as np
import pytest
from zoo import inputs_of, params_of

import jaxrnn
from jaxrnn import LSTM, cells, unroll

POSITIVE = {
    "LSTM.clip",
    "MiRU2.reset_coefficient",
    "CTRNN.dt",
    "CfC.elapsed",
    "EchoState.spectral_radius",
    "LayerNormGRU.epsilon",
    "MCLSTM.epsilon",
}
STRENGTHS = {"CoRNN.gamma", "EIRNN.sigma", "LTC.epsilon", "LowRankRNN.g"}
PORTIONS = {"PhasedLSTM.ratio_on", "EchoState.leak", "EIRNN.alpha"}
RATES = {"PhasedLSTM.leak", "MiRU1.update_coefficient", "GRUD.recurrent_dropout"}
ANY = {"JANET.beta", "FastRNN.initial_alpha", "FastGRNN.initial_nu"}
EVERY = sorted(POSITIVE | STRENGTHS | PORTIONS | RATES | ANY | {"LipschitzRNN.beta"})
FLAGS = (
    "CoRNN.implicit",
    "RHN.coupled",
    "LTC.timed",
    "CfC.timed",
    "LTC.softplus",
    "ShallowPLRNN.clipped",
    "ResLSTM.identity",
    "MUT1.projection",
)


def make(field, value):
    name, field = field.split(".")
    sizes = (3, 5, 4) if name == "MCLSTM" else (5, 5)
    kind = LSTM if name == "LSTM" else getattr(cells, name)
    return kind(*sizes, **{field: value})


@pytest.mark.parametrize("field", EVERY)
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_a_number_of_numpy_is_pythons(field, kind):
    cell = make(field, kind(0.5))
    assert cell == make(field, 0.5) and hash(cell) == hash(make(field, 0.5))
    assert "np." not in repr(cell)
    assert eval(repr(cell), vars(jaxrnn)) == cell


@pytest.mark.parametrize("field", sorted(POSITIVE | PORTIONS | ANY))
def test_whole_numbers_stay_whole(field):
    cell = make(field, np.int64(1))
    assert cell == make(field, 1) and type(getattr(cell, field.split(".")[1])) is int


@pytest.mark.parametrize("field", EVERY)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, "1", None, True, 1j])
def test_what_is_no_finite_number_is_refused(field, value):
    if field == "LSTM.clip" and value is None:
        return  # what it is without a clip
    name, of = field.split(".")
    with pytest.raises(ValueError, match=f"^{name}: {of} is .*, expected a "):
        make(field, value)


@pytest.mark.parametrize("field", sorted(POSITIVE | STRENGTHS | PORTIONS))
def test_what_is_below_zero_is_refused(field):
    name, of = field.split(".")
    for value in (-0.5, np.float32(-0.5), *([] if field in STRENGTHS else [0])):
        with pytest.raises(ValueError, match=f"^{name}: {of} is .*, expected a "):
            make(field, value)


def test_a_number_of_float64_does_not_widen_what_is_carried():
    cell = cells.CTRNN(3, 5, tau=np.float64(100.0), dt=np.float64(20.0))
    params = {name: leaf.astype("float32") for name, leaf in params_of(cell).items()}
    h, ys = unroll(cell, params, inputs_of(cell, (3,)).astype("float32"))
    assert h.dtype == ys.dtype == jnp.float32


def test_a_number_of_layers_is_an_int():
    cell = cells.CfC(3, 5, backbone_layers=np.int64(2))
    assert cell == cells.CfC(3, 5, backbone_layers=2)
    assert repr(cell) == "cells.CfC(input_size=3, hidden_size=5, backbone_layers=2)"


@pytest.mark.parametrize("field", FLAGS)
@pytest.mark.parametrize("value", [0, 1, "yes", np.nan, np.ones(2)])
def test_a_flag_is_true_or_false(field, value):
    assert make(field, False) != make(field, True)
    name, of = field.split(".")
    with pytest.raises(
        ValueError, match=f"^{name}: {of} is .*, expected .*True or False"
    ):
        make(field, value)
