"""The libraries: which module measures each, and which cells it has.

A module here has a function `program(case, **options)`; its result compiles, runs and
shows its results as `benchmarks.jax_program.JaxProgram` does. The modules are imported
by workers alone, one library in a process.
"""

import importlib.util
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Library:
    """What the parent process knows of a library without importing it.

    Args:
        title: its name in tables.
        package: the package that must be installed.
        cells: the cells that it has, in the equations of ours.
        module: the file here that measures it.
        options: keyword arguments of `program`.
        uses_jax: whether XLA compiles it.
    """

    title: str
    package: str
    cells: tuple[str, ...]
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    uses_jax: bool = True

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


EVERY_CELL = ("elman", "lstm", "gru", "gru_before")
PLAIN = ("elman", "lstm", "gru")
OURS, CONTROL, FLOOR = "jaxrnn", "jaxrnn_again", "products"
GRADIENT, NORMS = "gradient", "gradient_norms"
LIBRARIES = {
    OURS: Library("jaxrnn", "jaxrnn", EVERY_CELL, "jaxrnn"),
    CONTROL: Library("jaxrnn again", "jaxrnn", EVERY_CELL, "jaxrnn"),
    FLOOR: Library("products alone", "jax", EVERY_CELL, "products"),
    "flax_linen": Library("flax linen", "flax", ("elman", "lstm", "gru"), "flax_linen"),
    "flax_nnx": Library("flax nnx", "flax", ("elman", "lstm", "gru"), "flax_nnx"),
    # Its Elman cell is a relu and nothing else, its GRU resets before the product.
    "haiku": Library("haiku", "haiku", ("lstm", "gru_before"), "haiku"),
    "equinox": Library("equinox", "equinox", ("lstm", "gru"), "equinox"),
    "keras": Library("keras on JAX", "keras", EVERY_CELL, "keras"),
    "torch": Library("torch", "torch", ("elman", "lstm", "gru"), "torch", uses_jax=False),
    "user_project": Library(
        "user's cell, with project",
        "jaxrnn",
        ("lstm",),
        "user_cell",
        options={"project": True},
    ),
    "user_step": Library(
        "user's cell, step alone",
        "jaxrnn",
        ("lstm",),
        "user_cell",
        options={"project": False},
    ),
    GRADIENT: Library("one gradient", "jaxrnn", PLAIN, "norms", options={"norms": False}),
    NORMS: Library("gradient_norms", "jaxrnn", PLAIN, "norms", options={"norms": True}),
}
PEERS = ("flax_linen", "flax_nnx", "haiku", "equinox", "keras", "torch")
