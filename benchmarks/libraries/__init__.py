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
GRADIENT, NORMS, LOG = "gradient", "gradient_norms", "gradient_log"
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
    GRADIENT: Library(
        "one gradient", "jaxrnn", PLAIN, "norms", options={"how": "gradient"}
    ),
    NORMS: Library("gradient_norms", "jaxrnn", PLAIN, "norms", options={"how": "norms"}),
    LOG: Library("gradient_log", "jaxrnn", PLAIN, "norms", options={"how": "log"}),
}
TITLES_OF_FORMS = {
    "batch": "batch axes",
    "examples": "vmap over examples",
    "devices": "two devices",
    "turns": "one after another",
    "models": "vmap over params",
}
# The training step of a library, transformed; and the peer that must be asked for.
FORMS = {
    "batch_axes": ("jaxrnn", "batch"),
    "over_examples": ("jaxrnn", "examples"),
    "over_devices": ("jaxrnn", "devices"),
    "equinox_examples": ("equinox", "batch"),
    "models_in_turn": ("jaxrnn", "turns"),
    "over_models": ("jaxrnn", "models"),
    "equinox_models": ("equinox", "models"),
    "flax_linen_models": ("flax_linen", "models"),
}
TRANSFORMED = {
    name: None if library == OURS else library for name, (library, _) in FORMS.items()
}
LIBRARIES |= {
    name: Library(
        TITLES_OF_FORMS[form] if library == OURS else LIBRARIES[library].title,
        LIBRARIES[library].package,
        ("lstm", "gru"),
        "transformed",
        options={"library": library, "form": form},
    )
    for name, (library, form) in FORMS.items()
}
# What speaks, and the peer that must be asked for.
SPEAKERS = {
    "generate": None,
    "speaking_flax": "flax_linen",
    "speaking_torch": "torch",
    "beam": None,
    "attention": None,
}
LIBRARIES |= {
    name: Library(title, "jaxrnn", ("lstm",), "speaking", options={"how": name})
    for name, title in (
        ("generate", "jaxrnn"),
        ("beam", "beam_search"),
        ("attention", "with attention"),
    )
}
LIBRARIES["speaking_flax"] = Library("flax linen", "flax", ("lstm",), "speaking_flax")
LIBRARIES["speaking_torch"] = Library(
    "torch", "torch", ("lstm",), "speaking_torch", uses_jax=False
)
# Gradients that run back, and forward.
ONLINE = {
    "online_bptt": "BPTT",
    "online_rtrl": "RTRL",
    "online_snap": "SnAp(1)",
    "online_uoro": "UORO",
    "online_one_step": "one step",
}
LIBRARIES |= {
    name: Library(
        title, "jaxrnn", ("gru",), "online", options={"how": name.removeprefix("online_")}
    )
    for name, title in ONLINE.items()
}
# Ways through time, and the cells that each can have.
PARALLEL = {
    "parallel_scan": ("Scan()", ("MinGRU", "LRU", "GRU")),
    "parallel_associative": ("Associative()", ("MinGRU", "LRU")),
    "parallel_newton": ("Newton()", ("GRU",)),
    "parallel_plain": ("plain scan", ("MinGRU", "LRU", "GRU")),
    "parallel_prefix": ("plain prefix", ("MinGRU", "LRU")),
}
LIBRARIES |= {
    name: Library(
        title, "jaxrnn", of, "parallel", options={"how": name.removeprefix("parallel_")}
    )
    for name, (title, of) in PARALLEL.items()
}
# Every cell of the zoo; of the peers, the last has the most.
LIBRARIES |= {
    "zoo": Library("jaxrnn", "jaxrnn", (), "zoo", options={"scan": False}),
    "zoo_scan": Library("plain scan", "jaxrnn", (), "zoo", options={"scan": True}),
    "zoo_torch": Library(
        "torchrecurrent", "torchrecurrent", (), "zoo_torch", uses_jax=False
    ),
}
PEERS = ("flax_linen", "flax_nnx", "haiku", "equinox", "keras", "torch")
