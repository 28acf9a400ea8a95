"""The benchmarks, at sizes where they take no time: what they compare and what they say.

Workers are processes of their own, in float32, as in a benchmark.
"""

import dataclasses
import importlib.util
import json
import math
import re

import numpy as np
import pytest
from peer import peer
from zoo import ZOO

import jaxrnn
from benchmarks import __main__ as command
from benchmarks import (
    against_peers,
    cases,
    compile_time,
    generation,
    gradient_norms,
    memory,
    online,
    parallel,
    transformations,
    user_cell,
    zoo,
)
from benchmarks.cases import Case
from benchmarks.equality import assert_equal, assert_workers_agree
from benchmarks.libraries import (
    CONTROL,
    FLOOR,
    GRADIENT,
    LIBRARIES,
    LOG,
    NORMS,
    ONLINE,
    OURS,
    PARALLEL,
    PEERS,
    zoo_cells,
)
from benchmarks.ratios import geometric_mean, ratios, spread
from benchmarks.record import Record
from benchmarks.tables import digits
from benchmarks.workers import Turns, Worker, Workers, alternate, ask_all

TINY = {"T": 9, "B": 3, "I": 5, "H": 8}
DEEP = {"layers": 2, "bidirectional": True, "ragged": True}


@pytest.fixture(autouse=True)
def fast_compilation(monkeypatch):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


def require(*names):
    """Skip, or fail, where a library is missing; import it nowhere but in its worker."""
    for name in names:
        if importlib.util.find_spec(LIBRARIES[name].package) is None:
            peer(LIBRARIES[name].package)


def assert_agreement(case, workers, folder):
    """The check of the benchmark itself."""
    ask_all(workers, "build", case=dataclasses.asdict(case), options={})
    for what in ("forward", "training"):
        ask_all(workers, "compile", what=what)
    assert_workers_agree(workers, OURS, folder)


def test_flax_agrees(tmp_path):
    require("flax_linen")
    with Workers() as every:
        workers = every.named(OURS, "flax_linen")
        assert_agreement(Case("gru", **TINY), workers, tmp_path)
        seconds = alternate(workers, "training", Turns(3, seconds=0, most_runs=1))
    assert {name: len(runs) for name, runs in seconds.items()} == dict.fromkeys(
        workers, 3
    )


@pytest.mark.slow
def test_every_library_agrees(tmp_path):
    """Everything that the questions compare, all in one set of workers."""
    require(*PEERS)
    tiny, deep = Case("lstm", **TINY), Case("lstm", **TINY, **DEEP)
    compared = {
        tiny: ("user_project", "user_step"),
        deep: ("flax_linen", "torch"),
    }
    for cell in cases.GATES:
        names = tuple(name for name in PEERS if cell in LIBRARIES[name].cells)
        assert len(names) >= 2
        case = Case(cell, **TINY)
        compared[case] = names + compared.get(case, ())
    with Workers() as workers:
        workers.named(OURS, *PEERS)  # all begin to import
        for case, names in compared.items():
            assert_agreement(case, workers.named(OURS, *names), tmp_path)


def test_a_difference_is_found():
    ours = {
        "outputs": np.linspace(-1, 1, 12).reshape(3, 4),
        "gradient of recurrent_bias, layer 0, direction 0": np.ones(3),
    }
    assert_equal("peer", ours, ours)
    assert_equal("peer", {"outputs": ours["outputs"]}, ours)  # nnx has no such bias
    wrong = ours["outputs"].copy()
    wrong[1, 2] += 0.01
    with pytest.raises(AssertionError, match="peer differs from jaxrnn in: outputs"):
        assert_equal("peer", ours | {"outputs": wrong}, ours)
    with pytest.raises(AssertionError, match="peer has no"):
        assert_equal("peer", {}, ours)
    with pytest.raises(AssertionError, match="zero everywhere"):
        assert_equal("peer", {"loss": np.zeros(1)}, {"loss": np.zeros(1)})
    with pytest.raises(AssertionError):
        nan = np.full((3, 4), np.nan)
        assert_equal("peer", ours | {"outputs": nan}, ours)


def test_a_worker_that_fails_says_so():
    worker = Worker("products")
    try:
        with pytest.raises(RuntimeError, match=r"(?s)products, compile .*no attribute"):
            worker.ask("compile", what="forward")
    finally:
        worker.close()


def test_cases_are_the_same_in_every_process():
    case = Case("gru", **TINY, **DEEP)
    weights = cases.weights(case)
    for one, other in zip(
        cases.named(weights), cases.named(cases.weights(case)), strict=True
    ):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
    shapes = [leaves["kernel"].shape for layer in weights for leaves in layer]
    assert shapes == [(5, 24), (5, 24), (16, 24), (16, 24)]
    assert cases.inputs(case).shape == (9, 3, 5)
    lengths = cases.lengths(case)
    assert lengths is not None and lengths.max() == 9 and lengths.min() >= 2
    assert Case("lstm", **TINY).products == 2 * (9 * 3) * 32 * (5 + 8)


def test_ratios():
    seconds = {
        "jaxrnn": [2.0, 1.0, 4.0],
        "jaxrnn_again": [2.0, 1.0, 8.0],
        "flax_linen": [3.0, 3.0, 3.0],
        "haiku": [2.5, 2.0, 9.0],
        "torch": [1.0, 1.0, 1.0],
        "products": [0.1, 0.1, 0.1],
    }
    median, minimum = ratios(seconds, "median"), ratios(seconds, "minimum")
    assert dataclasses.astuple(median) == ("haiku", 1.25, 0.5, 1.0)
    assert dataclasses.astuple(minimum) == ("haiku", 2.0, 1.0, 1.0)
    alone = ratios({"jaxrnn": [1.0]}, "median")
    assert dataclasses.astuple(alone) == (None, None, None, None)


def test_statistics():
    mean = geometric_mean([0.5, None, 8.0])
    assert mean is not None and math.isclose(mean, 2.0)
    assert geometric_mean([None]) is None
    assert math.isclose(spread([1.0, 2.0, 3.0, 4.0, 5.0]), 2 / 3)
    assert spread([1.0]) == 0
    shown = [digits(value) for value in (None, 1234.5, 12.345, 1.2345, 0.0012345)]
    assert shown == ["-", "1234", "12.3", "1.23", "0.0012"]


def test_tables_of_made_up_numbers():
    """Two shapes at which flax is four times and once as slow: twice on average."""
    rows = []
    for T, factor in ((10, 4), (20, 1)):
        case = dataclasses.asdict(Case("lstm", T, 2, 3, 4))
        for name, seconds in (("jaxrnn", 0.002), ("flax_linen", 0.002 * factor)):
            runs = [seconds, 3 * seconds, 2 * seconds]
            rows.append(case | {"what": "forward", "library": name, "seconds": runs})
    text = against_peers.report(rows)
    lines = [line for line in text.splitlines() if line.startswith("| 10, 2, 3, 4")]
    assert lines == [
        "| 10, 2, 3, 4 | 4.00 (2.00) | 16.0 (8.00) | flax linen | 4.00 (4.00) | - | - "
        "| 50% | - |"
    ]
    assert "| LSTM: forward | 2 | 2.00 (2.00) | - | - |" in text

    text = against_peers.side_by_side({"here": rows, "there": rows[2:]})
    assert "| here: jaxrnn, ms | here: best JAX peer / jaxrnn |" in text
    shown = "LSTM, forward: 10, 2, 3, 4 | 4.00 (2.00) | 4.00 (4.00) | - | - | - | - |"
    assert shown in text
    assert "geometric mean |  | 2.00 (2.00) | - |  | 1.00 (1.00) | - |" in text

    rows = [
        dataclasses.asdict(Case("gru", T, 2, 3, 4)) | {"library": name, "seconds": [time]}
        for T, factor in ((10, 4), (20, 1))
        for name, time in ((GRADIENT, 0.002), (NORMS, 0.002 * factor), (LOG, 0.006))
    ]
    text = gradient_norms.report(rows)
    times = "2.00 (2.00) | 8.00 (8.00) | 6.00 (6.00) | 4.00 (4.00) | 3.00 (3.00) |"
    assert f"10, 2, 3, 4 | {times}" in text
    assert "geometric mean |  |  |  | 2.00 (2.00) | 3.00 (3.00) |" in text


def test_record(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    path = tmp_path / "record.json"
    record = Record(path, {"quick": True})
    record.begin("question")
    record.add("question", seconds=[1.0])
    record.add_versions({"jax": "1"})
    record.save()
    data = json.loads(path.read_text())
    assert data["questions"] == {"question": [{"seconds": [1.0]}]}
    assert data["arguments"] == {"quick": True} and data["versions"] == {"jax": "1"}
    assert data["machine"]["cpu"] and data["machine"]["cores"] >= 1
    flags = data["flags"]
    assert flags["glibc_huge_pages"] and flags["XLA_FLAGS"] is None
    assert flags["OMP_WAIT_POLICY"] == "passive" and data["date"][:2] == "20"
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["speed"], "no such question: speed"), (["--cells", "tcn"], "invalid choice")],
)
def test_wrong_words(words, message, capsys):
    with pytest.raises(SystemExit):
        command.main(words)
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_all_that_speak_say_the_same(tmp_path):
    require("flax_linen", "torch")
    case = Case("lstm", 9, 3, 5, 8, layers=2)
    with Workers() as started:
        workers = started.named("generate", "speaking_flax", "speaking_torch")
        ask_all(workers, "build", case=dataclasses.asdict(case), options={})
        ask_all(workers, "compile", what="forward")
        assert_workers_agree(workers, "generate", tmp_path)


def test_a_table_of_made_up_ways_through_time():
    """Newton's method is six times and one and a half times as slow as a scan: thrice."""
    rows = []
    for T, factor in ((10, 6), (20, 1.5)):
        case = dataclasses.asdict(Case("GRU", T, 2, 3, 4))
        for name, seconds in (("scan", 0.002), ("newton", 0.002 * factor)):
            row = case | {"library": f"parallel_{name}", "seconds": [seconds]}
            row |= {"iterations": 4, "exponent": -0.25} if name == "newton" else {}
            rows += [row | {"what": what} for what in ("forward", "training")]
    forward, training = parallel.report(rows).split("### ")[1:]
    line = "| GRU: 10, 2, 3, 4 | 2.00 (2.00) | - | 12.0 (12.0) | - | - | - | 6.00 (6.00) "
    assert f"{line}| - | - | 4 | -0.25 |" in forward
    assert f"{line}| - | - |\n" in training
    means = "| GRU: geometric mean |  |  |  |  |  | - | 3.00 (3.00) | - | - |"
    assert f"{means}  |  |" in forward and training.count(means) == 1


@pytest.mark.slow
def test_every_way_through_time_gives_the_same(tmp_path):
    with Workers() as started:
        for cell in parallel.CELLS:
            case = Case(cell, T=40, B=3, I=5, H=8)
            names = [name for name in PARALLEL if cell in LIBRARIES[name].cells]
            workers = started.named(*names)
            ask_all(workers, "build", case=dataclasses.asdict(case), options={})
            costs = ask_all(workers, "compile", what="forward")
            ask_all(workers, "compile", what="training")
            assert_workers_agree(workers, parallel.SCAN, tmp_path)
            for name, cost in costs.items():
                assert ("iterations" in cost) == (name == parallel.NEWTON)
                assert 1 < cost.get("iterations", 2) < 20 and cost.get("exponent", -1) < 0


@pytest.mark.slow
def test_every_question(tmp_path, monkeypatch, capsys):
    """The whole command, smaller than --quick; saved numbers give the same tables."""
    require("flax_linen")
    shapes = ((6, 2, 3, 4),)
    monkeypatch.setattr(against_peers, "QUICK_SHAPES", shapes)
    monkeypatch.setattr(user_cell, "QUICK_SHAPES", shapes)
    monkeypatch.setattr(user_cell, "QUICK_DEEP", Case("lstm", **TINY, **DEEP))
    monkeypatch.setattr(gradient_norms, "QUICK_SHAPES", shapes)
    monkeypatch.setattr(memory, "SHAPES", shapes)
    for module in (transformations, generation, zoo, parallel):
        monkeypatch.setattr(module, "QUICK_SHAPES", ((6, 2, 3, 4),))
    monkeypatch.setattr(zoo, "QUICK_CELLS", ("MGU",))
    monkeypatch.setattr(memory, "QUICK_STEPS", (5, 10))
    monkeypatch.setattr(online, "QUICK_STEPS", (5, 10))
    monkeypatch.setattr(online, "TIMED", 5)
    monkeypatch.setattr(compile_time, "QUICK_DEPTHS", (1,))
    monkeypatch.setattr(compile_time, "QUICK_STEPS", (5,))
    path = tmp_path / "all.json"
    words = "--quick --rounds 1 --cells lstm --peers flax_linen --json"
    command.main([*words.split(), str(path)])
    printed = capsys.readouterr().out

    data = json.loads(path.read_text())
    fields = ["date", "machine", "flags", "arguments", "versions", "questions"]
    assert list(data) == fields
    assert {"python", "jax", "flax"} <= data["versions"].keys()
    questions = data["questions"]
    assert list(questions) == list(command.QUESTIONS) and all(questions.values())
    for row in questions["against_peers"] + questions["user_cell"]:
        assert min(row["seconds"]) > 0 and row["library"] in LIBRARIES
        assert row["temporary_bytes"] > 0
    compared = {row["library"] for row in questions["against_peers"]}
    assert compared == {OURS, CONTROL, FLOOR, "flax_linen"}
    for row in questions["gradient_norms"]:
        assert min(row["seconds"]) > 0
    compared = {row["library"] for row in questions["gradient_norms"]}
    assert compared == {GRADIENT, NORMS, LOG}
    compared = {row["library"] for row in questions["user_cell"] if row["ragged"]}
    assert compared == {OURS, CONTROL, "flax_linen"}
    compared = {row["library"] for row in questions["transformations"]}
    assert compared == {
        *("batch_axes", "over_examples", "over_devices"),
        *("models_in_turn", "over_models", "flax_linen_models"),
    }
    compared = {row["library"] for row in questions["generation"]}
    assert compared == {"generate", "speaking_flax", "beam", "attention"}
    compared = {(row["cell"], row["library"]) for row in questions["zoo"]}
    assert compared == {("MGU", "zoo"), ("MGU", "zoo_scan")}
    assert {row["library"] for row in questions["online"]} == {*ONLINE}
    assert [bool(row["seconds"]) for row in questions["online"]] == 5 * [True] + 5 * [
        False
    ]
    compared = {(row["cell"], row["library"]) for row in questions["parallel"]}
    assert compared == {
        (cell, name)
        for cell in parallel.QUICK_CELLS
        for name, (_, cells) in PARALLEL.items()
        if cell in cells
    }
    for row in questions["compile_time"]:
        assert min(row["trace_seconds"] + row["compile_seconds"]) > 0
    assert {row["library"] for row in questions["memory"]} == {OURS, "flax_linen"}

    command.main(["--tables", str(path)])
    assert capsys.readouterr().out == printed
    command.main(["--tables", str(path), str(path)])
    twice = capsys.readouterr().out
    assert re.search(r"\| T, B, I, H \| 1\. .*: jaxrnn, ms .* 2\. .*: jaxrnn, ms", twice)
    assert re.search(r"\*\*2\. .*\*\*\n\nMiB of temporaries", twice)
    for name in command.QUESTIONS:
        assert f"## {(command.QUESTIONS[name].__doc__ or '').splitlines()[0]}" in printed


@pytest.mark.slow
def test_cells_of_the_zoo_beside_torchrecurrent(tmp_path, monkeypatch, capsys):
    require("zoo_torch")
    monkeypatch.setattr(zoo, "QUICK_SHAPES", ((6, 2, 8, 8),))
    monkeypatch.setattr(zoo, "QUICK_CELLS", ("CoRNN", "TauGRU", "ConvGRU"))
    path = tmp_path / "zoo.json"
    command.main(["zoo", "--quick", "--rounds", "1", "--json", str(path)])
    rows = json.loads(path.read_text())["questions"]["zoo"]
    compared = {(row["cell"], row["library"]) for row in rows}
    three = {(cell, one) for cell in ("CoRNN", "TauGRU") for one in zoo.NAMES}
    assert compared == three | {("ConvGRU", "zoo"), ("ConvGRU", "zoo_scan")}
    printed = capsys.readouterr().out
    assert re.search(r"\| ConvGRU \| \S+ \(\S+\) \| \S+ \(\S+\) \| - \|", printed)


def test_the_zoo_is_measured_whole():
    made = {type(cell).__name__ for cell in ZOO.values() if is_recurrent(cell)}
    assert made <= zoo_cells.CELLS.keys()
    for name, make in zoo_cells.CELLS.items():
        assert type(make(32, 32)).__name__ == name


def is_recurrent(cell):
    """Whether it is a cell with a memory, not a wrapper of any."""
    return "jaxrnn.cells" in type(cell).__module__ and not isinstance(
        cell, jaxrnn.Dense | jaxrnn.Embedding
    )
