"""Every example in a docstring runs and prints what it says, on every processor."""

import doctest
import pkgutil

import jax
import pytest
from peer import peer
from rounding import round_otherwise

import jaxrnn

MODULES = [name for _, name, _ in pkgutil.walk_packages(jaxrnn.__path__, "jaxrnn.")]


def failures(name):
    module = peer(name)  # of interop, some need the library that they are for
    with (
        jax.enable_x64(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
    ):
        return doctest.testmod(module).failed


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.slow
def test_docstring_examples(name):
    assert failures(name) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_do_not_depend_on_rounding(name, monkeypatch):
    round_otherwise(monkeypatch)
    assert failures(name) == 0


def test_every_public_function_and_class_has_an_example():
    without = {
        name
        for name, value in vars(jaxrnn).items()
        if not name.startswith("_") and callable(value) and ">>>" not in value.__doc__
    }
    carries = {"LSTMCarry", "FastSlowCarry", "MultiscaleCarry"}
    assert without == {"Keys", "Packed", "Padded"} | carries
