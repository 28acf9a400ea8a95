"""What is timed must be the same computation: its results are compared before."""

from pathlib import Path
from typing import Any

import numpy as np

from .workers import Worker

TOLERANCE = 1e-3  # relative; float32 over two thousand steps


def assert_equal(
    name: str,
    theirs: dict[str, Any],
    ours: dict[str, Any],
    tolerance: float = TOLERANCE,
) -> None:
    """Outputs, loss, gradients in inputs and parameters agree with jaxrnn's.

    Raises:
        AssertionError: naming the library and the first result that differs.
    """
    missing = ours.keys() - theirs.keys()
    # One of the peers has no such parameter.
    missing = {result for result in missing if "recurrent_bias" not in result}
    assert not missing, f"{name} has no {sorted(missing)}"
    for result, value in theirs.items():
        our = ours[result]
        assert np.any(our), f"{result} is zero everywhere: nothing is compared"
        size = float(np.sqrt(np.mean(np.square(our, dtype=np.float64))))
        np.testing.assert_allclose(
            value,
            our,
            rtol=tolerance,
            atol=tolerance * size,
            equal_nan=False,
            err_msg=f"{name} differs from jaxrnn in: {result}",
        )


def assert_workers_agree(
    workers: dict[str, Worker],
    reference: str,
    folder: Path,
    tolerance: float = TOLERANCE,
) -> None:
    """Every worker computes what the reference does, all of them built and compiled."""
    for name in workers:
        workers[name].send("results", path=str(folder / f"{name}.npz"))
    for worker in workers.values():
        worker.receive()
    ours = taken(folder, reference)
    for name in workers:
        if name != reference:
            assert_equal(name, taken(folder, name), ours, tolerance)


def taken(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The results that a worker has written; the file goes."""
    path = folder / f"{name}.npz"
    with np.load(path) as arrays:
        loaded = dict(arrays)
    path.unlink()
    return loaded
