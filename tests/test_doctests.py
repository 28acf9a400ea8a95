"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import jax
import pytest

import jaxrnn

MODULES = [name for _, name, _ in pkgutil.walk_packages(jaxrnn.__path__, "jaxrnn.")]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        results = doctest.testmod(module)
    assert results.failed == 0


def test_every_public_function_and_class_has_an_example():
    without = {
        name
        for name, value in vars(jaxrnn).items()
        if not name.startswith("_") and callable(value) and ">>>" not in value.__doc__
    }
    assert without == {"Keys", "LSTMCarry", "Packed"}
