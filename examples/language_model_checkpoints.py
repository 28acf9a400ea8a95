"""Training that survives: the loop of `language_model.py`, and its checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from options import fail

import jaxrnn


def train(
    train_step: Callable[[dict, Any], tuple[dict, Any]],
    read: Callable[[int], Any],
    state: dict,
    args: Any,
    folder: Path,
    bars: Any,
) -> Any:
    """Parameters after `args.steps`, from the last checkpoint if there is one.

    `read(step)` is the piece of a step, and `state` what the first one begins with.
    """
    seed = folder.name
    bar = bars.add_task(f"seed {seed}", total=args.steps, note="")
    kept = ocp.CheckpointManagerOptions(max_to_keep=2)
    with ocp.CheckpointManager(folder.absolute(), options=kept) as checkpoints:
        last = checkpoints.latest_step()
        if last is not None:
            state = checkpoints.restore(last, args=ocp.args.StandardRestore(state))
            bars.update(bar, completed=last)
            bars.print(f"seed {seed} goes on from step {last}")
        for step in range(int(state["step"]), args.steps):
            state, nats = train_step(state, read(step))
            note = f"{jaxrnn.bits_per_symbol(nats):.3f} bits a character"
            bars.update(bar, completed=step + 1, note=note)
            if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
                checkpoints.save(step + 1, args=ocp.args.StandardSave(state))
    return state["params"]


def trained(folder: Path, state: dict) -> Any:
    """Parameters of the last checkpoint, whose shapes are those of `state`."""
    if not folder.is_dir():
        fail("--prompt needs a trained model: first give the same command without it")
    with ocp.CheckpointManager(folder.absolute()) as checkpoints:
        if checkpoints.latest_step() is None:
            fail(f"no checkpoint was finished in {folder}")
        last = checkpoints.restore(None, args=ocp.args.StandardRestore(state))
    return last["params"]
