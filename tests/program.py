"""Examples as a user runs them: a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"
ENVIRONMENT = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "COLUMNS": "100"}


def start(name, options):
    """`python examples/NAME OPTIONS`, warnings as errors; compiled fast, run slowly."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *options.split()]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT, **pipes)


def run(name, options):
    """What it printed, when it has ended well."""
    process = start(name, options)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    return printed
