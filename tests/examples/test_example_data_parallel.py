"""The language model on several processes: what one gets, killed, and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import ENVIRONMENT, EXAMPLES, refused, run

TINY = "--hidden-size 8 --length 12 --streams 4 --seeds 1"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def bits(folder):
    return json.loads((folder / "results.json").read_text())["bits"]


@pytest.mark.slow
def test_two_processes_get_what_one_gets(tmp_path, text):
    for count in (1, 2):
        options = f"--text {text} --steps 60 {TINY} --processes {count}"
        printed = run("data_parallel.py", f"{options} --out {tmp_path / str(count)}")
        assert "bits per held-out character" in printed
        assert "characters a second" in printed
    assert bits(tmp_path / "2") == pytest.approx(bits(tmp_path / "1"), rel=1e-4)


@LINUX
@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_a_restart_goes_on(tmp_path, text):
    options = f"--text {text} --save-every 20 {TINY} --out {tmp_path} --steps 100000"
    command = [sys.executable, EXAMPLES / "data_parallel.py", *options.split()]
    both = [*command, "--processes", "2"]
    with subprocess.Popen(
        [*map(str, both)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as launcher:
        while not [*tmp_path.glob("checkpoints-*/0/20/_CHECKPOINT_METADATA")]:
            assert launcher.poll() is None
            time.sleep(0.2)
        pids = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text()
        children = [int(pid) for pid in pids.split()]
        assert len(children) == 2
        os.kill(children[1], signal.SIGKILL)
        errors = launcher.communicate(timeout=60)[1]
    assert launcher.returncode == 2
    assert "Traceback" not in errors
    assert "data_parallel.py: error: process 1 ended with SIGKILL, so all were" in errors
    assert "the same command goes on from the last checkpoint" in errors
    for child in children:
        assert not os.path.exists(f"/proc/{child}")
    with subprocess.Popen(
        [*map(str, command)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    ) as resumed:
        lines = iter(resumed.stderr)
        assert any("seed 0 goes on from step" in line for line in lines)
        resumed.kill()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--processes 3", "--streams 32 cannot be parted by 3, the number of devices"),
        ("--processes 0", "argument --processes: '0' is not a whole number from 1 on"),
    ],
)
def test_errors(options, message, monkeypatch, capsys, tmp_path):
    said = refused("data_parallel", f"{options} --out {tmp_path}", monkeypatch, capsys)
    assert message in said
