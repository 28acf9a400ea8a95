"""The language model on several processes: one program, and each reads its own streams.

A mesh has the devices of all processes. The streams are spread over it, the parameters
are whole on every device, and `language_model.train_step` is compiled as it is: gradients
are summed up over the devices once a step.

    python examples/data_parallel.py --processes 2
    python examples/data_parallel.py --cluster

With `--processes` they are started here, each with its share of the cores. With
`--cluster` this is one of many that something else has started, and finds its coordinator
as `jax.distributed.initialize` does (Slurm, Open MPI, Kubernetes, Cloud TPU). The same
command again goes on from the last checkpoint, and so does one with another number of
processes, if it divides that of the streams.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from language_model import (
    arguments,
    folder_of,
    language_model,
    optimizer_of,
    parsed_for_text,
    start,
    train_step,
)
from language_model_checkpoints import train
from options import fail, mean_and_spread, progress, save, whole
from text_data import bits_per_character, piece_of, read_corpus, split, streams_of

WARM_UP = 20  # steps that are not timed: they compile, and fill caches


class Reader:
    """The pieces of this process's streams, each a part of what all processes read."""

    def __init__(self, rows: np.ndarray, length: int, mesh: Any) -> None:
        self.sharding = NamedSharding(mesh, PartitionSpec(None, "streams"))
        share = len(rows) // jax.process_count()
        self.rows, self.length = rows[share * jax.process_index() :][:share], length
        self.times: list[float] = []

    def __call__(self, step: int) -> jax.Array:
        self.times.append(time.perf_counter())
        piece = piece_of(self.rows, self.length, step)
        return jax.make_array_from_process_local_data(self.sharding, piece)

    def characters_a_second(self) -> float | None:
        """Of all processes."""
        steps = len(self.times) - 1 - WARM_UP
        if steps < 1:
            return None
        seconds = self.times[-1] - self.times[WARM_UP]
        return steps * self.length * len(self.rows) * jax.process_count() / seconds


def run(args: Any) -> None:
    """One of the processes: all of them run the same program."""
    text, held_out = read_corpus(args.text)
    train_part, test, alphabet = split(text, args.length, held_out)
    model = language_model(len(alphabet), args.hidden_size)
    check_parts(args.streams, jax.device_count())
    mesh = jax.make_mesh((jax.device_count(),), ("streams",))
    jax.set_mesh(mesh)
    optimizer = optimizer_of(args.steps)
    every = NamedSharding(mesh, PartitionSpec())
    spread = dict.fromkeys(("params", "moments", "carry", "key", "step"), every)
    spread |= {"carry": NamedSharding(mesh, PartitionSpec("streams"))}
    rows = streams_of(train_part, args.streams, args.length)
    first, bits = jax.process_index() == 0, []
    with progress(quiet=not first) as bars:
        for seed in range(args.seed, args.seed + args.seeds):
            begin = partial(start, model, optimizer, args.streams, seed)
            state = jax.jit(begin, out_shardings=spread)()
            read = Reader(rows, args.length, mesh)
            folder = folder_of(args, text, model) / str(seed)
            step = partial(train_step, model, optimizer)
            params = train(step, read, state, args, folder, bars)
            if first:
                here = jax.tree.map(np.asarray, params)
                with jax.set_mesh(None):
                    bits.append(bits_per_character(model, here, test))
    if first:
        speed = read.characters_a_second()
        save(args, bits=bits, characters_a_second=speed, processes=jax.process_count())
        timed = f", {speed:,.0f} characters a second" if speed else ""
        print(f"{mean_and_spread(bits)} bits per held-out character{timed}")


def check_parts(streams: int, parts: int) -> None:
    if streams % parts:
        fail(f"--streams {streams} cannot be parted by {parts}, the number of devices")


def launch(args: Any) -> None:
    """Start the processes; if one ends badly, end the others and say so in one line."""
    check_parts(args.streams, args.processes)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    children = []
    log_of(args, 0).unlink(missing_ok=True)
    for i in range(args.processes):
        child = [sys.executable, *sys.argv, "--process", str(i), "--coordinator", address]
        # The first shows its progress; what the others say is found in a file.
        errors = log_of(args, i).open("w") if i else None
        children.append(subprocess.Popen(child, stdout=errors, stderr=errors))
    try:
        codes: list[int | None] = [None]
        while None in codes:
            time.sleep(0.1)
            codes = [child.poll() for child in children]
            if any(codes):
                stop(children)
                # One that was killed is why the others failed.
                code, i = min((code, i) for i, code in enumerate(codes) if code)
                how = signal.Signals(-code).name if code < 0 else f"the status {code}"
                log = log_of(args, i)
                said = f"; what it said is in {log}" if log.exists() else ""
                fail(
                    f"process {i} ended with {how}, so all were stopped{said}; the "
                    "same command goes on from the last checkpoint"
                )
    finally:
        stop(children)


def log_of(args: Any, process: int) -> Path:
    return args.out / f"process-{process}.log"


def stop(children: list[subprocess.Popen]) -> None:
    for child in children:
        child.kill()
    for child in children:
        child.wait()


def main() -> None:
    parser = arguments(__doc__)
    add = parser.add_argument
    add("--processes", type=whole(1), default=1, help="to start on this machine")
    add("--cluster", action="store_true", help="one of many that were started elsewhere")
    add("--process", type=whole(0), help="which of them this is; set by the first")
    add("--coordinator", help="its address; set by the first")
    args = parsed_for_text(parser)
    if args.processes > 1 and args.process is None and not args.cluster:
        launch(args)
        return
    if args.cluster:
        try:
            jax.distributed.initialize()
        except ValueError as error:
            fail(f"--cluster: nothing here says where the coordinator is ({error})")
    elif args.process is not None:
        cores = sorted(os.sched_getaffinity(0))
        share = max(1, len(cores) // args.processes)
        at = args.process * share % len(cores)
        os.sched_setaffinity(0, cores[at : at + share])
        jax.distributed.initialize(args.coordinator, args.processes, args.process)
    try:
        run(args)
    except Exception:
        if jax.process_count() == 1:
            raise
        if args.process == 0:  # its errors would be mixed with its progress
            log_of(args, 0).write_text(traceback.format_exc())
        else:
            traceback.print_exc()
        os._exit(1)  # another may have ended, who would be waited for in vain


if __name__ == "__main__":
    main()
