"""Bad input raises at trace time, in our words: call, argument, came, expected."""

import jax
import jax.numpy as jnp
import pytest
from zoo import params_of

from jaxrnn import (
    GRU,
    LSTM,
    Cell,
    Dense,
    Elman,
    Embedding,
    Scan,
    Stack,
    batched_carry,
    carry_gradients,
    cells,
    gradient_norms,
    trajectory,
    unroll,
)

LSTM_3_5 = LSTM(3, 5)
PARAMS = params_of(LSTM_3_5)
XS = jnp.ones((7, 2, 3))
CALLS = {
    "unroll": unroll,
    "trajectory": trajectory,
    "carry_gradients": lambda *args, **options: carry_gradients(
        jnp.sum, *args, **options
    ),
    "gradient_norms": lambda *args, **options: gradient_norms(jnp.sum, *args, **options),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"xs": jnp.ones((7, 2, 4))},
            ValueError,
            r"xs has shape \(7, 2, 4\), expected \(T, \*batch, 3\) for LSTM\(",
        ),
        (
            {"xs": jnp.ones(3)},
            ValueError,
            r"xs has shape \(3,\), expected a time axis before \(3,\)",
        ),
        ({"xs": jnp.ones(())}, ValueError, r"xs has shape \(\), expected \(T, \*batch"),
        ({"xs": [XS, XS]}, ValueError, r"xs has the structure \[\*, \*\], expected an"),
        (
            {"params": params_of(LSTM(3, 4))},
            ValueError,
            r"params\['bias'\] has shape \(16,\), expected \(20,\).*make them with",
        ),
        (
            {"params": {"kernel": PARAMS["kernel"]}},
            ValueError,
            r"params has the structure \{'kernel': \*\}, expected \{'bias'",
        ),
        (
            {"carry": LSTM_3_5.initial_carry(PARAMS)},
            ValueError,
            r"carry\.h has shape \(5,\), expected \(2, 5\).*"
            r"batched_carry\(cell, params, \(2,\)\)",
        ),
        (
            {"carry": (jnp.ones((2, 5)), jnp.ones((2, 5)))},
            ValueError,
            r"carry has the structure \(\*, \*\), expected LSTMCarry\(h=\*, c=",
        ),
        ({"cell": LSTM}, TypeError, r"cell is the class LSTM, expected an instance"),
        ({"cell": "lstm"}, TypeError, r"cell is of type str, expected a jaxrnn\.Cell"),
        (
            {"method": Scan},
            TypeError,
            r"method is <class .*>, expected one like Scan\(\)",
        ),
        (
            {"method": "scan"},
            TypeError,
            r"method is 'scan', expected one like Scan\(\)",
        ),
        ({"reverse": 1}, TypeError, r"reverse is 1, expected True or False"),
        (
            {"lengths": [7, 7], "mask": jnp.ones((7, 2), bool)},
            ValueError,
            r"lengths and mask are both given, expected one of them",
        ),
        (
            {"lengths": jnp.array([7, 8])},
            ValueError,
            r"lengths has the entry 8, expected 0 to 7, the number of steps",
        ),
        ({"lengths": [3, -1]}, ValueError, r"lengths has the entry -1, expected 0 to 7"),
        ({"lengths": 3}, ValueError, r"lengths has shape \(\), expected \(2,\): one for"),
        (
            {"lengths": jnp.ones((7, 2), int)},
            ValueError,
            r"lengths has shape \(7, 2\), expected \(2,\): one for each example",
        ),
        ({"lengths": [1.0, 2.0]}, TypeError, r"lengths has dtype float64, expected int"),
        ({"lengths": [True, True]}, TypeError, r"lengths has dtype bool, expected int"),
        ({"lengths": ["a", "b"]}, TypeError, r"lengths has dtype <U1, expected numbers"),
        (
            {"mask": 3 * jnp.ones((7, 2))},
            ValueError,
            r"mask has the entry 3.0, expected booleans, or numbers that are 0 or 1: Tru",
        ),
        (
            {"mask": jnp.ones((2, 7), bool)},
            ValueError,
            r"mask has shape \(2, 7\), expected \(7, 2\), \(T, \*batch\): time comes",
        ),
        ({"mask": jnp.ones(7, bool)}, ValueError, r"mask has shape \(7,\), expected"),
        (
            {"resets": jnp.arange(14).reshape(7, 2)},
            ValueError,
            r"resets has the entry 2, expected booleans, or numbers that are 0 or 1: Tru",
        ),
        (
            {"resets": jnp.zeros((7, 3), bool)},
            ValueError,
            r"resets has shape \(7, 3\), expected \(7, 2\)",
        ),
        ({"key": 0}, TypeError, r"key is 0, expected jax\.random\.key\(seed\) or None"),
        (
            {"key": jax.random.split(jax.random.key(0))},
            ValueError,
            r"key has shape \(2,\), expected one key",
        ),
    ],
)
def test_a_wrong_argument_of_a_sequence_call(name, change, error, message):
    arguments = {"cell": LSTM_3_5, "params": PARAMS, "xs": XS} | change
    cell, params, xs = (arguments.pop(argument) for argument in ("cell", "params", "xs"))
    with pytest.raises(error, match=f"^{name}: {message}"):
        CALLS[name](cell, params, xs, **arguments)


@pytest.mark.parametrize(
    ("params", "carry", "x", "message"),
    [
        (PARAMS, None, jnp.ones(4), r"LSTM: x has shape \(4,\), expected \(3\)"),
        (
            PARAMS,
            None,
            jnp.ones((2, 3)),
            r"LSTM: x has shape \(2, 3\), expected \(3,\).*use jax\.vmap for a batch",
        ),
        (
            PARAMS,
            batched_carry(LSTM_3_5, PARAMS, (2,)),
            jnp.ones(3),
            r"LSTM: carry\.h has shape \(2, 5\), expected \(5,\)",
        ),
        (
            params_of(LSTM(3, 6)),
            None,
            jnp.ones(3),
            r"LSTM: params\['bias'\] has shape \(24,\), expected \(20,\)",
        ),
    ],
)
def test_a_wrong_argument_of_a_single_step(params, carry, x, message):
    carry = LSTM_3_5.initial_carry(PARAMS) if carry is None else carry
    with pytest.raises(ValueError, match=f"^{message}"):
        LSTM_3_5(params, carry, x)


@pytest.mark.parametrize(
    ("cell", "x", "error", "message"),
    [
        (Elman(3, 5), jnp.ones(4), ValueError, r"Elman\.project: x has shape \(4,\)"),
        (
            LSTM(3, 5),
            jnp.ones((2, 3)),
            ValueError,
            r"LSTM\.project: x has shape \(2, 3\)",
        ),
        (GRU(3, 5), jnp.ones(()), ValueError, r"GRU\.project: x has shape \(\)"),
        (Dense(3, 5), jnp.ones(2), ValueError, r"Dense\.project: x has shape \(2,\)"),
        (
            Embedding(3, 5),
            jnp.arange(2),
            ValueError,
            r"Embedding\.project: x has shape",
        ),
        (
            Embedding(3, 5),
            jnp.ones(()),
            TypeError,
            r"Embedding\.project: x has dtype flo",
        ),
        (
            cells.LTC(3, 5),
            jnp.ones(1),
            ValueError,
            r"LTC\.project: x has shape \(1,\)",
        ),
        (
            cells.LTC(3, 5, timed=True),
            cells.Timed(jnp.ones(3), jnp.ones(3)),
            ValueError,
            r"LTC\.project: x\.elapsed has shape \(3,\)",
        ),
        (
            cells.CfC(3, 5, timed=True),
            jnp.ones(3),
            ValueError,
            r"CfC\.project: x has the structure \*",
        ),
        (
            cells.MCLSTM(2, 3, 5),
            cells.MassInput(jnp.ones(3), jnp.ones(3)),
            ValueError,
            r"MCLSTM\.project: x\.mass has shape \(3,\)",
        ),
        (
            cells.MCLSTM(2, 3, 5),
            (jnp.ones(2), jnp.ones(3)),
            ValueError,
            r"MCLSTM\.project: x has the structure \(\*, \*\)",
        ),
        (
            cells.GRUD(3, 5),
            jnp.ones(3),
            ValueError,
            r"GRUD\.project: x has the structure \*",
        ),
        (
            cells.GRUD(3, 5),
            cells.MissingInput(jnp.ones(3), jnp.ones(1), jnp.ones(3), jnp.ones(3)),
            ValueError,
            r"GRUD\.project: x\.observed has shape \(1,\)",
        ),
        (
            cells.PhasedLSTM(3, 5),
            cells.TimedInput(jnp.ones(3), jnp.ones(1)),
            ValueError,
            r"PhasedLSTM\.project: x\.time has shape \(1,\)",
        ),
    ],
)
def test_project_names_the_cell_what_came_and_what_was_expected(cell, x, error, message):
    with pytest.raises(error, match=f"^{message}.*expected"):
        cell.project(params_of(cell), x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(0, 5), r"LSTM: input_size is 0, expected a positive int"),
        (lambda: GRU(3, -1), r"GRU: hidden_size is -1, expected a positive int"),
        (lambda: Elman(3, 2.5), r"Elman: hidden_size is 2\.5, expected a positive int"),
        (
            lambda: Dense(3, True),
            r"Dense: output_size is True, expected a positive int",
        ),
        (
            lambda: Embedding(0, 3),
            r"Embedding: vocabulary is 0, expected a positive int",
        ),
        (
            lambda: Elman(3, 5, "tahn"),
            r"Elman: activation is 'tahn', expected \"tanh\"",
        ),
        (lambda: Elman(3, 5, "glu"), r"Elman: activation is 'glu', expected \"tanh\""),
        (lambda: Elman(3, 5, "one_hot"), r"Elman: activation is 'one_hot', expected"),
        (
            lambda: LSTM(3, 5, gate_activation="sigmiod"),
            r"LSTM: gate_activation is 'sigmiod', expected \"tanh\"",
        ),
        (lambda: GRU(3, 5, activation=3), r"GRU: activation is 3, expected"),
        (lambda: cells.JANET(3, 5, beta="1"), r"JANET: beta is '1', expected a finite"),
        (lambda: LSTM(3, 5, clip=0.0), r"LSTM: clip is 0\.0, expected a finite num"),
        (
            lambda: LSTM(3, 5, projection_size=0),
            r"LSTM: projection_size is 0, expected a positive int",
        ),
        (lambda: Elman(3, 5, jnp.sum), r"Elman: activation is .*expected \"tanh\""),
        (lambda: Stack(()), r"Stack: cells is empty, expected at least one cell"),
        (lambda: Scan(unroll=0), r"Scan: unroll is 0, expected a positive int"),
        (lambda: Scan(unroll=True), r"Scan: unroll is True, expected a positive int"),
    ],
)
def test_a_cell_or_a_method_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_a_stack_of_what_is_no_cell():
    with pytest.raises(
        TypeError, match=r"^Stack: cells\[1\] is 'dense', expected a cell"
    ):
        Stack((LSTM(3, 5), "dense"))
    with pytest.raises(TypeError, match=r"^Stack: cells is LSTM.*expected a tuple"):
        Stack(LSTM(3, 5))


def test_layers_that_do_not_fit_are_named():
    cell = Stack((LSTM(3, 5), GRU(4, 2)))
    message = (
        r"^unroll: the input of GRU has shape \(7, 2, 5\), expected \(T, \*batch, 4\) "
        r"for GRU\(input_size=4"
    )
    with pytest.raises(ValueError, match=message):
        unroll(cell, params_of(cell), XS)


@pytest.mark.parametrize("call", ["carry_gradients", "gradient_norms"])
@pytest.mark.usefixtures("promotion")
def test_a_loss_that_is_no_real_scalar(call):
    function = {"carry_gradients": carry_gradients, "gradient_norms": gradient_norms}[
        call
    ]
    with pytest.raises(ValueError, match=rf"^{call}: loss gave the shape \(7, 2\)"):
        function(lambda ys: ys.sum(-1), LSTM_3_5, PARAMS, XS)
    with pytest.raises(TypeError, match=rf"^{call}: loss gave the dtype int"):
        function(lambda ys: (ys > 0).sum(), LSTM_3_5, PARAMS, XS)
    with pytest.raises(TypeError, match=rf"^{call}: loss gave the dtype complex"):
        function(lambda ys: ys.sum() * 1j, LSTM_3_5, PARAMS, XS)
    with pytest.raises(
        ValueError, match=rf"^{call}: loss gave \(\*, \*\), expected a sc"
    ):
        function(lambda ys: (ys.sum(), ys), LSTM_3_5, PARAMS, XS)
    with pytest.raises(ValueError, match=rf"^{call}: loss gave None, expected a scalar"):
        function(lambda ys: None, LSTM_3_5, PARAMS, XS)
    with pytest.raises(
        TypeError, match=rf"^{call}: loss is of type LSTM, expected a fun"
    ):
        function(LSTM_3_5, PARAMS, XS, jnp.sum)


# A user's own cell.


class _User(Cell):
    input_size = 3

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(3)

    def step(self, params, carry, drive):
        return carry + drive


class _Widens(_User):
    def step(self, params, carry, drive):
        return jnp.concatenate([carry, drive])


class _Flips(_User):
    def step(self, params, carry, drive):
        return carry.astype("int32" if carry.dtype == jnp.float64 else "float64")


class _Holds(_User):
    weights: object = None


class _Nameless(_User):
    input_size = property()  # as if there were no such field


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        (
            _Holds(jnp.ones(3)),
            TypeError,
            r"_Holds cannot be hashed.*arrays belong in its",
        ),
        (_Nameless(), TypeError, r"_Nameless has no field `input_size`"),
        (
            _Widens(),
            TypeError,
            r"_Widens.*step turned a carry of the shapes \(3,\) into",
        ),
        (_Flips(), TypeError, r"_Flips.*changes the dtypes of its carry for ever"),
    ],
)
def test_a_cell_that_breaks_the_contract(cell, error, message):
    with pytest.raises(error, match=message):
        unroll(cell, (), jnp.ones((4, 3)))


def test_a_cell_without_a_step_cannot_be_made():
    class Empty(Cell):
        input_size: int

    with pytest.raises(TypeError, match=r"init.*initial_carry.*step"):
        Empty(3)


def test_a_batch_shape_that_is_none():
    with pytest.raises(
        ValueError, match=r"^batched_carry: batch_shape is \(-1,\), expec"
    ):
        batched_carry(LSTM_3_5, PARAMS, (-1,))
    with pytest.raises(
        ValueError, match=r"^batched_carry: batch_shape is 2\.0, expected"
    ):
        batched_carry(LSTM_3_5, PARAMS, 2.0)


def test_an_array_that_is_no_key():
    with pytest.raises(
        TypeError, match=r"^unroll: key is an array float64\[2\], expected"
    ):
        unroll(LSTM_3_5, PARAMS, XS, key=jnp.ones(2))
