"""The rooms of the library: what may use what, as the map in `jaxrnn` says.

Read, not imported: where there is a circle, nothing can be imported.
"""

import ast
import re
from pathlib import Path

HOUSE = Path(__file__).parents[1] / "jaxrnn"
MAP = ast.get_docstring(ast.parse((HOUSE / "__init__.py").read_text("utf-8")))
LINE = re.compile(r"^    (\w+/?)  +\S.*$", re.MULTILINE)


def rooms():
    """The rank of every room, from the ground up: a file or a folder."""
    return {name: rank for rank, name in enumerate(LINE.findall(MAP))}


def module_of(path):
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {module_of(path): path for path in sorted(HOUSE.rglob("*.py"))}


def imported(module):
    """The modules of the library that one of them imports, anywhere in its text."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            assert all(name[0] != "jaxrnn" for name in names), f"{path}: import jaxrnn"
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                assert (node.module or "").split(".")[0] != "jaxrnn", f"{path}: absolute"
                continue
            base = package[: len(package) - (node.level - 1)]
            base += tuple((node.module or "").split(".")) if node.module else ()
            for alias in node.names:
                inner = (*base, alias.name)
                yield inner if inner in MODULES else base


ARROWS = {module: sorted(set(imported(module))) for module in MODULES}


def room_of(module):
    folder = (HOUSE / module[0]).is_dir()
    return f"{module[0]}/" if folder else module[0]


def test_no_arrow_is_hidden():
    hidden = re.compile(r"\b(import_module|__import__)\b")
    names = [shown(m) for m, path in MODULES.items() if hidden.search(path.read_text())]
    assert names == []


def shown(module):
    return MODULES[module].relative_to(HOUSE.parent).as_posix()


def test_every_file_has_a_room_on_the_map():
    there = {room_of(module) for module in MODULES if module}
    assert there == set(rooms())


def test_no_arrow_runs_up():
    rank = rooms()
    wrong = [
        f"{shown(module)} uses {shown(target)}"
        for module, targets in ARROWS.items()
        for target in targets
        if module and (not target or rank[room_of(target)] > rank[room_of(module)])
    ]
    assert wrong == []


def test_there_is_no_circle_of_imports():
    done, circles = set(), []

    def visit(module, path):
        if module in path:
            circles.append(" -> ".join(map(shown, (*path[path.index(module) :], module))))
        elif module not in done:
            for target in ARROWS[module]:
                visit(target, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())
    assert circles == []


def test_every_room_of_tests_is_one_of_the_library_or_beside_it():
    tests = Path(__file__).parent
    beside = {"parity/", "examples/", "benchmarks/"}
    folders = {f"{path.parent.name}/" for path in tests.glob("*/test_*.py")}
    assert folders - beside <= set(rooms())
