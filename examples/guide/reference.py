"""Write reference.md: every public name, with its signature and its first sentence.

python examples/guide/reference.py
"""

import inspect
import re
from pathlib import Path
from typing import Any

import jaxrnn

PAGE = Path(__file__).with_suffix(".md")
ROOM = re.compile(r"^    (\w+)/?  +(\S.*)$", re.MULTILINE)
HEAD = """# Reference

Every public name with its signature and its first sentence, room by room, from the ground
up. `help(jaxrnn.unroll)` has equations, shapes, errors, the paper and an example.
Written by `python examples/guide/reference.py`.
"""


def first_sentence(value: Any) -> str:
    text = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", text)[0].rstrip(":")


def shown(default: Any) -> str:
    if inspect.isfunction(default):
        module = default.__module__.removeprefix("jaxrnn.")
        name = default.__qualname__
        return f"{module}.{name}" if module == "initializers" else name
    return repr(default)


def signature(value: Any) -> str:
    """Names and defaults, without types."""
    kinds, parts = inspect.Parameter, []
    for name, parameter in inspect.signature(value).parameters.items():
        if parameter.kind is kinds.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        if name == "self":
            continue
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}
        default = parameter.default
        given = "" if default is kinds.empty else f"={shown(default)}"
        parts.append(f"{stars.get(parameter.kind, '')}{name}{given}")
    return f"({', '.join(parts)})"


def members(cls: type) -> dict[str, Any]:
    """What a class adds to its bases: methods and properties that are explained."""
    bases = {name for base in cls.__mro__[1:] for name in vars(base)}
    return {
        name: value
        for name, value in vars(cls).items()
        if (not name.startswith("_") or name == "__call__") and name not in bases
        if isinstance(value, property) or is_method(cls, value)
        if value.__doc__
    }


def is_method(cls: type, value: Any) -> bool:
    """And no default of a field that is a function."""
    return getattr(value, "__qualname__", "").startswith(f"{cls.__qualname__}.")


def entry(name: str, value: Any) -> str:
    lines = [f"- **{name}**`{signature(value)}`: {first_sentence(value)}"]
    if inspect.isclass(value):
        for method, one in members(value).items():
            call = "" if isinstance(one, property) else signature(one)
            lines.append(f"  - `.{method}{call}`: {first_sentence(one)}")
    return "\n".join(lines)


def public() -> dict[str, Any]:
    """Every public name, those of the public modules with these before them."""
    names = {}
    for name, value in vars(jaxrnn).items():
        if inspect.isclass(value) or inspect.isfunction(value):
            names[name] = value
        elif value in (jaxrnn.initializers, jaxrnn.plotting, jaxrnn.cells):
            for inner, one in vars(value).items():
                made_here = getattr(one, "__module__", "").startswith(value.__name__)
                shown = callable(one) and made_here and not inner.startswith("_")
                if shown and not hasattr(jaxrnn, inner):
                    names[f"{name}.{inner}"] = one
    return names


def page() -> str:
    names, text = public(), HEAD
    for room, purpose in ROOM.findall(jaxrnn.__doc__ or ""):
        here = [
            entry(name, value)
            for name, value in names.items()
            if value.__module__.split(".")[1] == room
        ]
        if here:
            text += f"\n## {room}: {purpose}\n\n" + "\n".join(here) + "\n"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
