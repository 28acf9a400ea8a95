"""Examples as a user runs them: in a process of their own, or called in this one."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
ENVIRONMENT = os.environ | {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "COLUMNS": "100",
}
# Warnings are errors, but for one of the cache of compiled programs: see conftest.py.
WARNINGS = "error", "ignore:Error reading persistent compilation cache"
# A program that gets Ctrl-C when it calls a function for the nth time, neither earlier
# nor later: it sends the signal itself.
INTERRUPTED = """
import signal, sys
sys.path.insert(0, {folder!r})
import {name} as example
sys.argv = [{name!r}, *{options!r}]
signal.signal(signal.SIGINT, signal.default_int_handler)
inner, calls = example.{function}, 0
def here(*args, **kwargs):
    global calls
    calls += 1
    if calls == {call}:
        signal.raise_signal(signal.SIGINT)
    return inner(*args, **kwargs)
example.{function} = here
example.main()
"""


def started(*command, folder=None, **environment):
    """`python COMMAND`, ended: its process, with output and errors."""
    filters = [part for one in WARNINGS for part in ("-W", one)]
    return subprocess.run(
        [sys.executable, *filters, *map(str, command)],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
    )


def run(name, options, **how):
    """What `python examples/NAME OPTIONS` printed, when it has ended well."""
    ended = started(EXAMPLES / name, *options.split(), **how)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def interrupted(name, options, function, call, **how):
    """An example that gets Ctrl-C in the nth call of one of its functions."""
    program = INTERRUPTED.format(
        folder=str(EXAMPLES),
        name=name,
        options=options.split(),
        function=function,
        call=call,
    )
    return started("-c", program, **how)


def refused(name, options, monkeypatch, capsys):
    """What an example says on options that it cannot take; called, which is quicker."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *options.split()])
    with pytest.raises(SystemExit) as exited:
        importlib.import_module(name).main()
    assert exited.value.code == 2
    output, errors = capsys.readouterr()
    assert not output
    return errors
