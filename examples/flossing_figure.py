"""What `flossing.py` measures of networks before they are trained, and its figure."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np

import jaxrnn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SMOOTH = 50  # training steps in a point of a curve


@partial(jax.jit, static_argnames=("model", "delay", "k"))
def measured(model: Any, params: Any, xs: Any, targets: Any, delay: int, k: int) -> dict:
    """The k largest exponents, and how the gradient of one step's loss fades."""
    losses = lambda logits: jaxrnn.cross_entropy(logits, jnp.maximum(targets, 0))  # noqa: E731
    sampled = {"sample_key": jax.random.key(0), "samples": 8, "max_lag": delay}
    profile = jaxrnn.lag_profile(losses, model, params, xs, **sampled)
    spectrum = jaxrnn.lyapunov_spectrum(model.cells[0], params[0], xs, k=k, every=5)
    norms = profile.norms[0].mean(axis=1)
    return {"exponents": spectrum.exponents.mean(axis=0), "norms": norms}


def draw(path: Path, runs: dict[str, list[dict[str, Any]]], args: Any) -> None:
    """Errors of each run and their mean, Lyapunov exponents, and gradients by lag."""
    figure, panels = plt.subplots(1, 3, figsize=(16, 4.8), layout="constrained")
    left, middle, right = panels
    size = min(SMOOTH, args.steps)
    for i, (name, several) in enumerate(runs.items()):
        errors = 100 * np.array([run["errors"] for run in several])
        errors = errors[:, : args.steps // size * size].reshape(len(several), -1, size)
        steps, errors = size * (np.arange(errors.shape[1]) + 0.5), errors.mean(axis=2)
        left.plot(steps, errors.T, f"C{i}", lw=0.8, alpha=0.35)
        style = "--" if name == "orthogonal" else "-"  # the plain one lies below it
        left.plot(steps, errors.mean(axis=0), f"C{i}", ls=style, lw=2, label=name)
        exponents = np.mean([run["exponents"] for run in several], axis=0)
        ranks = np.arange(1, len(exponents) + 1)
        middle.plot(ranks, exponents, f"C{i}", lw=2, label=name)
        norms = np.mean([np.divide(run["norms"], run["norms"][0]) for run in several], 0)
        right.semilogy(np.arange(len(norms)), norms, f"C{i}", lw=2, label=name)
    left.axhline(50, c="k", ls=":", label="chance")
    left.set(xlabel="training steps", ylabel="wrong answers (%)", ylim=(-1, 60))
    left.set_title(
        f"Were the signs {args.delay // 2} and {args.delay} steps ago the same?"
    )
    middle.axhline(0, c="k", ls=":", label="neither fades nor explodes")
    middle.set(xlabel="exponent, from the largest", ylabel="nats a step")
    middle.set_title("Before training: Lyapunov exponents")
    right.axvline(args.delay, c="k", ls=":", label="the first of the two signs")
    right.set(xlabel="lag (steps)", ylabel="gradient norm, that at lag 0 being 1")
    right.locator_params(axis="x", integer=True)
    right.set_title("Before training: how far gradients reach")
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
