"""Every block of the README runs, in order, and prints what stands below it."""

import contextlib
import io
import re
import tomllib
from pathlib import Path

import jax
import pytest
from peer import peer
from rounding import round_otherwise

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


def check_blocks():
    namespace, blocks, skipped = {}, BLOCK.findall(README), []
    assert len(blocks) == README.count("```python") > 4
    with (
        jax.enable_x64(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
    ):
        for code, expected in blocks:
            if "import flax" in code or "from flax" in code:
                try:
                    peer("flax")
                except pytest.skip.Exception:
                    skipped.append(code)
                    continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "README.md", "exec"), namespace)
            assert printed.getvalue() == expected
    assert len(skipped) <= 2


@pytest.mark.slow
def test_every_block_runs_and_prints_what_the_readme_says():
    check_blocks()


@pytest.mark.slow
def test_what_the_blocks_print_does_not_depend_on_rounding(monkeypatch):
    round_otherwise(monkeypatch)
    check_blocks()


def test_set_up_commands_name_extras_that_exist():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = pyproject["project"]["optional-dependencies"]
    commands = re.findall(r"^    (python -m venv .*)$", README, re.MULTILINE)
    assert [re.findall(r'"\.\[(\w+)\]"', line) for line in commands] == [
        ["examples"],
        ["test"],
    ]
    assert {"examples", "test", "flax", "peers"} <= set(extras)
    for program in re.findall(r"\.venv/bin/python (\S+)", "\n".join(commands)):
        assert (ROOT / program).is_file()
