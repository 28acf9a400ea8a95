"""A cell is declared by deriving from `Cell`, and nothing else."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import GRU, Cell, Combinator, Dropout, Elman, Wrapper, unroll

XS = jnp.arange(12.0).reshape(4, 3)
Params = TypeVar("Params")


class Decay(Cell):
    input_size: int
    rate: float = 0.5

    def init(self, key):
        return {"bias": jnp.ones(self.input_size)}

    def initial_carry(self, params):
        return jnp.zeros(self.input_size)

    def step(self, params, carry, drive):
        return self.rate * carry + drive + params["bias"]


class Slower(Decay):
    """A subclass with one more field, whose step goes on from its base's."""

    scale: float = 1.0

    def step(self, params, carry, drive):
        return self.scale * super().step(params, carry, drive)


@jax.tree_util.register_static
@dataclass(frozen=True)
class Twice(Decay):
    """As cells were declared before: both decorators are one too many."""

    scale: float = 2.0


class Shaped(Cell):
    """`input_shape` is a field, before others without a default."""

    input_shape: tuple
    weight: float

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(())

    def step(self, params, carry, drive):
        return carry + self.weight * drive.sum()


class Smaller(Shaped):
    """The same, inherited."""


class ShapedWrapper(Wrapper):
    """A field in the place of the property of another base."""

    input_shape: tuple = (3,)


class Pair(Combinator):
    cells: tuple

    def sequence(self, params, carry, xs, run):
        first, ys = self.cells[0].sequence(params[0], carry[0], xs, run[0])
        second, ys = self.cells[1].sequence(params[1], carry[1], ys, run[1])
        return (first, second), ys


class Of(Cell[Params, jax.Array, jax.Array], Generic[Params]):
    """A generic base of a user's own."""

    input_size: int


class Known(Of[tuple[()]], kw_only=True):
    gain: float

    def init(self, key):
        return ()

    def initial_carry(self, params):
        return jnp.zeros(self.input_size)

    def step(self, params, carry, drive):
        return carry + self.gain * drive


CELLS = [
    Decay(3, 0.25),
    Slower(3, scale=3.0),
    Twice(3, scale=1.5),
    Shaped((3,), 2.0),
    Smaller((3,), 2.0),
    ShapedWrapper(Elman(3, 2)),
    Pair((GRU(3, 2), Decay(2))),
    Known(input_size=3, gain=2.0),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_whatever_derives_from_cell_is_a_frozen_value(cell):
    fields = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
    equal = [type(cell)(**fields), copy.copy(cell), copy.deepcopy(cell)]
    equal += [pickle.loads(pickle.dumps(cell)), dataclasses.replace(cell)]
    equal += [eval(repr(cell), globals() | vars(jaxrnn))]
    for other in equal:
        assert other == cell and hash(other) == hash(cell) and other is not cell
    assert jax.tree.leaves(cell) == []
    name = next(iter(fields))
    with pytest.raises(dataclasses.FrozenInstanceError, match=name):
        setattr(cell, name, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(cell, name)
    assert list(inspect.signature(type(cell)).parameters) == list(fields)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: type(cell).__name__)
def test_it_passes_through_jit_and_compiles_once(cell):
    traces = []

    @jax.jit
    def run(cell, params, xs):
        traces.append(cell)
        return unroll(cell, params, xs)[1]

    params = cell.init(jax.random.key(0))
    carry = cell.initial_carry(cell.prepare(params))
    if isinstance(cell, Pair):
        _, ys = unroll(cell.cells[0], params[0], XS)
        expected = unroll(cell.cells[1], params[1], ys)[1]
    else:
        expected = []
        for x in XS:
            carry, y = cell(params, carry, x)
            expected.append(y)
    for one in (cell, dataclasses.replace(cell)):
        np.testing.assert_allclose(run(one, params, XS), jnp.stack(list(expected)))
    assert len(traces) == 1


def test_a_subclass_computes_with_its_own_fields():
    ones = jnp.ones((2, 1))
    params = {"bias": jnp.zeros(1)}
    of = lambda cell: unroll(cell, params, ones)[1][:, 0].tolist()  # noqa: E731
    assert of(Decay(1)) == [1, 1.5] and of(Slower(1, scale=2.0)) == [2, 4]
    assert of(Slower(1, 0.25, 2.0)) == [2, 3]
    assert Slower(1) != Decay(1) and Slower(1) == Slower(1, 0.5, 1.0)


def test_an_input_shape_may_be_a_field_or_a_property_or_an_attribute():
    class Attribute(Slower):
        input_shape = (3,)  # no field

    assert Shaped((3,), 2.0).input_shape == (3,)
    assert Shaped([2, 3], 2.0).input_shape == (2, 3)  # a list becomes a tuple
    assert float(unroll(Shaped((2, 3), 2.0), (), jnp.ones((4, 2, 3)))[0]) == 48
    assert Dropout(0.5).input_shape is ... and Decay(4).input_shape == (4,)
    assert Attribute(7).input_shape == (3,)
    assert ShapedWrapper(Elman(3, 2)).input_shape == (3,)


def test_a_combinator_without_cells_is_told_so():
    class Empty(Combinator):
        pass

    with pytest.raises(TypeError, match=r"^Empty has no cells: give it a field"):
        Empty()


def test_a_field_before_which_there_is_a_default_is_a_keyword():
    class Gained(Decay, kw_only=True):
        gain: float

    assert repr(Gained(3, gain=2.0)) == f"{Gained.__qualname__}(input_size=3, gain=2.0)"
    with pytest.raises(TypeError, match="positional"):
        Gained(3, 2.0, 0.5)


def test_a_field_that_must_be_given_after_a_default_says_what_helps():
    with pytest.raises(TypeError, match=r"^Late: non-default argument .* kw_only=True"):

        class Late(Decay):
            gain: float


def test_what_is_no_field_is_told_what_to_be():
    with pytest.raises(TypeError, match=r"^Held: mutable default .*belong in the params"):

        class Held(Decay):
            weights: jax.Array = jnp.ones(3)

    with pytest.raises(dataclasses.FrozenInstanceError, match=r"Decay, which is frozen"):
        Decay(3).last = 0


def test_an_init_of_ones_own_is_inherited():
    class Even(Decay):
        def __init__(self, half):
            object.__setattr__(self, "input_size", 2 * half)

    class Heir(Even):
        def output(self, params, carry, drive):
            return -carry

    assert Even(3).input_size == Heir(3).input_size == 6
    assert list(inspect.signature(Heir).parameters) == ["half"]
    assert Heir(3) == Heir(3) != Heir(4) and Heir(3).rate == 0.5


def test_a_field_named_like_something_inherited_has_no_default():
    class Gated(Decay, kw_only=True):
        gates: tuple

    with pytest.raises(TypeError, match="gates"):
        Gated(3)
    assert Gated(3, gates=("f",)).gates == ("f",)


SENT = """
import sys, cloudpickle
from jaxrnn import Elman

class Local(Elman):
    gain: float = 1.0

open(sys.argv[1], "wb").write(cloudpickle.dumps(Local(3, 4)))
"""
RECEIVED = """
import pickle, sys
import jax, jax.numpy as jnp, jaxrnn

cell = pickle.load(open(sys.argv[1], "rb"))
params = cell.init(jax.random.key(0))
ys = jax.jit(jaxrnn.unroll)(cell, params, jnp.ones((5, 3)))[1]
print(cell, jax.tree.leaves(cell), ys.shape)
"""


@pytest.mark.slow
def test_a_class_pickled_by_value_is_static_where_it_arrives(tmp_path):
    for program in (SENT, RECEIVED):
        command = [sys.executable, "-c", program, str(tmp_path / "cell")]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "Local(input_size=3, hidden_size=4) [] (5, 4)\n"


def test_options_of_fields_are_kept():
    class Options(Decay):
        note: str = dataclasses.field(default="", compare=False)
        quiet: int = dataclasses.field(default=0, repr=False)
        twice: int = dataclasses.field(init=False)
        sizes: tuple = dataclasses.field(default_factory=lambda: (1, 2))

        def __post_init__(self):
            super().__post_init__()
            object.__setattr__(self, "twice", 2 * self.input_size)

    cell = Options(3, note="mine", quiet=1)
    assert cell == Options(3, quiet=1) != Options(3)
    assert repr(cell).endswith("Options(input_size=3, note='mine')")
    assert cell.twice == 6 and repr(Decay(3, rate=1)) == "Decay(input_size=3, rate=1)"
    assert repr(Activated(True)) == "Activated(input_size=True)"


def test_a_dataclass_that_is_not_frozen_is_refused():
    with pytest.raises(TypeError, match="frozen"):

        @dataclass
        class Mutable(Decay):
            pass


def test_a_method_of_the_class_stays_its_own():
    class Named(Decay):
        def __repr__(self):
            return "mine"

        def __eq__(self, other):
            return isinstance(other, Named)

        def __hash__(self):
            return 7

    class Heir(Named):
        pass

    for cell in (Named(3), Heir(4)):
        assert repr(cell) == "mine" and hash(cell) == 7 and cell == Named(5)


def act(x):
    return jnp.tanh(x)


def other(x):
    return jnp.sin(x)


class Activated(Decay):
    act: object = act


def test_functions_print_by_the_name_that_they_have_where_they_are_used():
    assert repr(Activated(3)) == "Activated(input_size=3)"
    assert repr(Activated(3, act=other)) == "Activated(input_size=3, act=test_cell.other)"

    def mine(x):
        return x

    mine.__module__, mine.__qualname__ = "__main__", "mine"
    assert repr(Activated(3, act=mine)) == "Activated(input_size=3, act=mine)"
    mine.__module__ = "jaxrnn.initializers"
    assert repr(Activated(3, act=mine)).endswith("act=initializers.mine)")
    assert repr(jaxrnn.FreeRunning()) == "FreeRunning()"


def test_default_factories_and_class_variables():
    class Listed(Decay):
        sizes: list = dataclasses.field(default_factory=lambda: [1, 2])
        total = 3

    assert Listed(3).sizes == (1, 2) and Listed(3) == Listed(3, sizes=[1, 2])
    assert [field.name for field in dataclasses.fields(Listed)] == [
        "input_size",
        "rate",
        "sizes",
    ]


TYPED = """
import jax
import jaxrnn
from jaxrnn import Cell


class Leaky(Cell[jax.Array, jax.Array, jax.Array]):
    input_size: int
    rate: float = 0.5

    def init(self, key: jax.Array) -> jax.Array:
        return jax.numpy.ones(self.input_size)

    def initial_carry(self, params: jax.Array) -> jax.Array:
        return 0 * params

    def step(self, params: jax.Array, carry: jax.Array, drive: jax.Array) -> jax.Array:
        return self.rate * carry + params * drive


class Shaped(Leaky):
    input_shape: tuple[int, ...] = ()


class Both(jaxrnn.Combinator):
    cells: tuple[Cell, ...]


reveal_type(Leaky(3, rate=0.2))
reveal_type(Leaky(3).rate)
reveal_type(Leaky(3).initial_carry)
Shaped(3, 0.5, (4,))
Both((Leaky(3),))
jaxrnn.GRU(3, hidden_size=5, reset_after=False)
jaxrnn.Scan(remat=True)
Leaky()  # wrong: input_size
Leaky("3")  # wrong: a string
Leaky(3).rate = 0.1  # wrong: frozen
jaxrnn.Scan(4)  # wrong: by keyword alone
"""


@pytest.mark.slow
def test_type_checkers_know_what_a_cell_is_made_of(tmp_path):
    (tmp_path / "typed.py").write_text(TYPED)
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", "."]
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"typeCheckingMode": "standard", "extraPaths": ["{Path.cwd()}"]}}'
    )
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    lines = TYPED.split("\n")
    wrong = {i for i, line in enumerate(lines, 1) if "# wrong" in line}
    errors = [line for line in told.split("\n") if " - error: " in line]
    assert {int(line.split("typed.py:")[1].split(":")[0]) for line in errors} == wrong, (
        told
    )
    for revealed in ('is "Leaky"', 'is "float"', 'params: Array) -> Array"'):
        assert revealed in told
