"""Other libraries, imported for comparison."""

import importlib
import os

import pytest


def peer(name: str):
    """The module `name`, or a skip; a failure where JAXRNN_REQUIRE_PEERS is set."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("JAXRNN_REQUIRE_PEERS"):
            raise
        pytest.skip(f"{name} is not installed", allow_module_level=True)
