"""No library: the matrix products of a case alone, the floor under every row.

Forward, the inputs meet their kernel in large products and the state meets the recurrent
kernel in T products, each waiting for the one before. Training adds T that wait for each
other on the way back, and three over the whole sequence: the gradients of both kernels
and of the inputs. Nothing elementwise is computed; a block of H columns of each product
is copied into the next, so that none can be narrowed or left out.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import FORWARD, GATES, TRAINING, Case
from ..jax_program import Compiled

CHUNK_BYTES = 2**21  # of one large product: in the cache, and no page is new


def program(case: Case) -> Compiled:
    jax.clear_caches()
    functions = Products(case)
    return Compiled(
        {FORWARD: functions.forward, TRAINING: functions.training}, functions.arguments()
    )


class Products:
    def __init__(self, case: Case) -> None:
        self.T, self.B, self.I, self.H = case.T, case.B, case.I, case.H
        self.gates = GATES[case.cell]
        steps = CHUNK_BYTES // (4 * self.gates * self.B * self.H)
        self.chunk = max(
            k for k in range(1, self.T + 1) if self.T % k == 0 and k <= max(steps, 1)
        )

    def arguments(self) -> tuple[dict[str, jax.Array]]:
        """Blocks of the recurrent kernel are orthogonal: nothing grows or underflows."""
        random = np.random.default_rng(0)
        rows, width = self.T * self.B, self.gates * self.H

        def normal(*shape: int) -> jax.Array:
            return jnp.asarray(random.standard_normal(shape, np.float32))

        blocks = [np.linalg.qr(normal(self.H, self.H))[0] for _ in range(self.gates)]
        U = np.concatenate(blocks, axis=1)
        arrays = {
            "W": normal(self.I, width),
            "U": jnp.asarray(U),
            "U^T": jnp.asarray(np.ascontiguousarray(U.T) / self.gates**0.5),
            "xs": normal(rows, self.I),
            "hs": normal(rows, self.H),
            "dz": normal(rows, width),
        }
        return (arrays,)

    def forward(self, arrays: dict[str, jax.Array]) -> Any:
        W, U, B, H = arrays["W"], arrays["U"], self.B, self.H

        def project(_: Any, xs: jax.Array) -> Any:
            return xs @ W, None

        def step(t: Any, h: jax.Array) -> jax.Array:
            block = H * (t % self.gates)
            return jax.lax.dynamic_slice(h @ U, (0, block), (B, H))

        chunks = arrays["xs"].reshape(-1, self.chunk * B, self.I)
        drive = jnp.zeros((self.chunk * B, self.gates * H), W.dtype)
        drive = jax.lax.scan(project, drive, chunks)[0]
        return drive, jax.lax.fori_loop(0, self.T, step, arrays["hs"][:B])

    def training(self, arrays: dict[str, jax.Array]) -> Any:
        def step(t: Any, dz: jax.Array) -> jax.Array:
            block = self.H * (t % self.gates)
            return jax.lax.dynamic_update_slice(dz, dz @ arrays["U^T"], (0, block))

        dz = arrays["dz"]
        return (
            self.forward(arrays),
            jax.lax.fori_loop(0, self.T, step, dz[: self.B]),
            arrays["xs"].T @ dz,
            arrays["hs"].T @ dz,
            dz @ arrays["W"].T,
        )
