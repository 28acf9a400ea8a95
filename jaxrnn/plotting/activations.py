"""Figures of what gates and attention do."""

from typing import Any

import numpy as np

from .look import axes_or_new, rows_of


def gate_histogram(
    activation: Any, ax: Any = None, *, where: Any = None, title: str | None = None
) -> Any:
    """How the activations of a gate are spread, step by step.

    Args:
        activation: `(T, *batch, H)` in [0, 1] or [-1, 1]: an entry of
            `gate_activations`.
        where: which steps count, `(T, *batch)` booleans; by default all.
        ax, title: as in `gradient_norms`, as are result and error.

    Example:
        >>> import numpy as np, jaxrnn
        >>> ax = jaxrnn.plotting.gate_histogram(np.linspace(0, 1, 60).reshape(6, 10))
        >>> print(ax.get_ylabel())
        activation
    """
    ax = axes_or_new(ax)
    from matplotlib.colors import PowerNorm

    values = np.asarray(activation, float)
    if where is not None:
        values = np.where(np.asarray(where)[..., None], values, np.nan)
    values = rows_of(values)
    there = np.isfinite(values)
    low, high = (values[there].min(), values[there].max()) if there.any() else (0, 1)
    edges = np.linspace(min(0.0, np.floor(low)), max(1.0, high), 41)
    rows = [row[known] for row, known in zip(values, there, strict=True)]
    counts = np.stack([np.histogram(row, edges)[0] for row in rows], 1)
    extent = (-0.5, len(values) - 0.5, edges[0], edges[-1])
    image = ax.imshow(
        counts / np.maximum(counts.sum(0), 1),
        origin="lower",
        aspect="auto",
        extent=extent,
        norm=PowerNorm(0.5),  # what few units do is seen too
        cmap="viridis",
        interpolation="nearest",
    )
    ax.figure.colorbar(image, ax=ax, label="fraction of units and examples")
    middle = [np.median(row) if row.size else np.nan for row in rows]
    ax.plot(np.arange(len(values)), middle, color="w", linewidth=1.5, label="median")
    ax.set_xlabel("time step t")
    ax.set_ylabel("activation")
    ax.set_title(title or "Activations of a gate, over time")
    ax.legend(facecolor="0.4", labelcolor="w")
    return ax


def attention(
    weights: Any,
    ax: Any = None,
    *,
    read: Any = None,
    said: Any = None,
    title: str | None = None,
) -> Any:
    """What a decoder looks at: a row for each step, a column for each place it reads.

    Args:
        weights: `(T, S)`, of one example: `gate_activations(...)["attention"][:, b]`.
        ax, title: as in `gradient_norms`, as are result and error.
        read, said: what is written at the places and the steps, such as the symbols of
            source and target; T and S are cut to their lengths.

    Raises:
        ValueError: for weights that are no matrix, or fewer than `read` or `said` needs.

    Example:
        >>> import numpy as np, jaxrnn
        >>> ax = jaxrnn.plotting.attention(np.eye(3, 5), read="abc", said=["A", "B"])
        >>> print([label.get_text() for label in ax.get_yticklabels()])
        ['A', 'B']
    """
    weights = np.asarray(weights, float)
    if weights.ndim != 2:
        raise ValueError(
            f"plotting.attention: weights has shape {weights.shape}, expected (T, S), "
            "those of one example"
        )
    for name, labels, size in (
        ("said", said, len(weights)),
        ("read", read, len(weights.T)),
    ):
        if labels is not None and len(labels) > size:
            raise ValueError(
                f"plotting.attention: {name} has {len(labels)} labels, expected at most "
                f"{size} for weights of the shape {weights.shape}"
            )
    shown = weights[: None if said is None else len(said)]
    shown = shown[:, : None if read is None else len(read)]
    if not shown.size:
        raise ValueError(
            "plotting.attention: there is nothing to draw, expected a step and a place"
        )
    ax = axes_or_new(ax)
    image = ax.imshow(shown, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="attention weight", shrink=0.8)
    if read is not None:
        wide = any(len(str(label)) > 2 for label in read)
        ax.set_xticks(range(len(read)), read, rotation=90 if wide else 0)
    if said is not None:
        ax.set_yticks(range(len(said)), said)
    ax.set_xlabel("place of the source" if read is None else "read")
    ax.set_ylabel("step t" if said is None else "said")
    ax.set_title(title or "Where the decoder looks")
    return ax
