"""Rows written into a buffer: derivatives both ways."""

import jax
import jax.numpy as jnp
import numpy as np
from against_autodiff import assert_close

from jaxrnn.methods.store import store


def test_what_is_written_into_a_buffer_has_its_derivatives_both_ways():
    """And what it overwrites has none; under `vmap` over each as well."""
    rng = np.random.default_rng(0)
    buffer, rows = (jnp.asarray(rng.normal(size=(n, 2))) for n in (5, 2))
    write = lambda a, b: store(a, b, jnp.uint32(1))  # noqa: E731
    jacobians = jax.jit(jax.jacrev(write, (0, 1)))(buffer, rows)
    forward = jax.jacfwd(write, (0, 1))(buffer, rows)
    kept = np.array([1.0, 0, 0, 1, 1])
    of_buffer = np.einsum("tu,ij->tiuj", np.diag(kept), np.eye(2))
    of_rows = np.einsum("tu,ij->tiuj", np.eye(5)[:, 1:3], np.eye(2))
    for found in (jacobians, forward):
        assert_close(found, (of_buffer, of_rows))
