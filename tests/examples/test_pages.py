"""README and the guide: every block runs, and prints what stands below it."""

import ast
import contextlib
import importlib.util
import io
import re
import tomllib
from pathlib import Path

import jax
import pytest
from peer import peer
from rounding import round_otherwise

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "examples" / "guide"
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
PEERS = {
    "equinox",
    "flax",
    "haiku",
    "keras",
    "onnx",
    "onnxruntime",
    "safetensors",
    "torch",
}
PAGES = [ROOT / "README.md", *sorted(GUIDE.glob("*.md"))]
WITH_BLOCKS = [page for page in PAGES if "```python" in page.read_text("utf-8")]
every_page = pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.stem)


@pytest.fixture(autouse=True)
def keras_alone(tmp_path, monkeypatch):
    """It is imported here, if at all, and leaves a file in its home."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def needed(code):
    """The modules that a block imports and that need not be there: peers, and ours that
    import them."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module)
    roots = PEERS | {"jaxrnn.interop"}
    return [name for name in names if any(f"{name}.".startswith(f"{r}.") for r in roots)]


def check_blocks(page):
    """All blocks in order, in one namespace that starts from nothing."""
    text = page.read_text("utf-8")
    namespace, blocks = {"__name__": "__main__"}, BLOCK.findall(text)
    assert len(blocks) == text.count("```python")
    ran = 0
    with (
        jax.enable_x64(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
    ):
        for code, expected in blocks:
            try:
                for name in needed(code):
                    peer(name)
            except pytest.skip.Exception:
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, page.name, "exec"), namespace)
            assert printed.getvalue() == expected
            ran += 1
    if ran == 0:
        pytest.skip("none of the libraries is installed")
    assert ran == len(blocks) or page.stem in ("modules", "coming_from")


@pytest.mark.slow
@every_page
def test_every_block_runs_and_prints_what_the_page_says(page):
    check_blocks(page)


@pytest.mark.slow
@every_page
def test_what_the_blocks_print_does_not_depend_on_rounding(page, monkeypatch):
    round_otherwise(monkeypatch)
    check_blocks(page)


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


def test_the_readme_is_a_front_door():
    assert len(README.splitlines()) < 200
    linked = set(re.findall(r"\]\(examples/guide/(\w+\.md)", README))
    assert linked == {page.name for page in GUIDE.glob("*.md")}
    changed = re.findall(r"^##+ (\d+\.\d+\.\d+)$", README, re.MULTILINE)
    every = re.findall(
        r"^## (\S+)$", (GUIDE / "changes.md").read_text("utf-8"), re.MULTILINE
    )
    assert changed == every[:2]


@pytest.mark.parametrize(
    "page",
    [*PAGES, *ROOT.glob("*/README.md")],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([\w-]+))?\)", text):
        there = page.parent / target if target else page
        assert there.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
            assert anchor in [title.lower().replace(" ", "-") for title in titles]


def test_the_reference_is_up_to_date():
    spec = importlib.util.spec_from_file_location("reference", GUIDE / "reference.py")
    assert spec is not None and spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    written = (GUIDE / "reference.md").read_text("utf-8")
    assert reference.page() == written, "run python examples/guide/reference.py"
