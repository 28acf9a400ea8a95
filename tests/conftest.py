"""Every test runs in float64, and refuses silent broadcasting and silent promotion.

Thousands of small programs are each run once, so that compiling them is what takes the
time: they are optimised as little as possible, and compiled once for all processes and
for the next run, in pytest's own cache.
"""

import gc
import itertools
import os
import sys
from pathlib import Path

import jax
import jaxlib.version
import pytest

if "JAX_DISABLE_MOST_OPTIMIZATIONS" not in os.environ:  # set, it is left alone
    jax.config.update("jax_disable_most_optimizations", True)
    if jaxlib.version.__version_info__ < (0, 11):  # later ones do not know the first flag
        quick = "--xla_cpu_use_fusion_emitters=false"  # six times as quick
        quick += " --xla_cpu_parallel_codegen_split_count=1"
        if quick not in (flags := os.environ.get("XLA_FLAGS", "")):
            os.environ["XLA_FLAGS"] = f"{flags} {quick}"
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_num_cpu_devices", 2)  # for shard_map
FINISHED = itertools.count(1)  # tests
MAPS, MOST_MAPS = Path("/proc/self/maps"), 25_000  # Linux allows 65,530
gc.set_threshold(100_000)  # traces make many objects, of which few are garbage


def pytest_addoption(parser):
    group = parser.getgroup("jaxrnn")
    group.addoption("--compositions", type=int, default=14, help="how many are drawn")
    group.addoption("--seed", type=int, default=0, help="from which seed")


def pytest_configure(config):
    if config.pluginmanager.hasplugin("cacheprovider"):
        kept = str(config.cache.mkdir("compiled"))
        # In the environment, for the processes that tests start.
        os.environ["JAX_COMPILATION_CACHE_DIR"] = kept
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        jax.config.update("jax_compilation_cache_dir", kept)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    try:
        return (yield)
    except jax.errors.JaxRuntimeError as error:
        missing = "Failed to materialize symbols" in str(error)
        if missing and "max_isa=SSE4" in os.environ.get("XLA_FLAGS", ""):
            pytest.skip("XLA computes no float16 with these instructions")
        raise


def pytest_runtest_logfinish(nodeid, location):
    """Compiled programs are let go before there are too many of them.

    Each maps memory of its own, and a process may have so many maps: beyond, XLA crashes.
    What is needed again comes from the cache of compiled programs.
    """
    if next(FINISHED) % 20 or not MAPS.exists():
        return
    if MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True)
def figures_closed():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def promotion():
    """For tests in which dtypes are mixed on purpose."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def key():
    return jax.random.key(0)
