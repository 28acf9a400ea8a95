"""Frozen values, declared by deriving."""

import contextlib
import dataclasses
import inspect
import sys
import weakref
from typing import Any, NoReturn, Self, dataclass_transform

import jax

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations
else:
    from inspect import get_annotations


# Not in the classes themselves, which may be pickled by value into another process.
_STATIC: weakref.WeakSet[type] = weakref.WeakSet()


class _Signature:
    """What a class is called with: of `__init__`; `__new__` takes anything."""

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError
        of_init = inspect.signature(owner.__init__)
        parameters = list(of_init.parameters.values())[1:]
        return inspect.Signature(parameters)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Value:
    """What derives from this is a frozen dataclass, and static to JAX.

    Annotated names are the fields; nothing else is to be declared. Equal by value, the
    types of the fields included; a list given for a tuple becomes one; printed as the
    expression that makes it, without the defaults.
    """

    __signature__ = _Signature()

    def __init_subclass__(cls, *, kw_only: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        fields = getattr(cls, "__dataclass_fields__", {})
        annotated = _annotated(cls)
        for name in annotated:
            if name not in vars(cls) and name not in fields and hasattr(cls, name):
                setattr(cls, name, _NoDefault())
        # An `__init__` that is written by hand is inherited, not by new fields.
        cls._writes_init = "__init__" in vars(cls) or (
            not annotated and getattr(cls, "_writes_init", False)
        )
        options: Any = dict(init=not cls._writes_init, eq=False, repr=False)
        try:
            dataclasses.dataclass(frozen=True, kw_only=kw_only, **options)(cls)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{cls.__name__}: {error}{_remedy(cls, str(error))}"
            ) from error
        # `@register_static @dataclass(frozen=True)` on top of it changes nothing: it
        # finds what it would set, but not these two, which it refuses to find.
        del cls.__setattr__, cls.__delattr__
        for name in ("__repr__", "__eq__", "__hash__"):
            setattr(cls, name, getattr(cls, name))

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls not in _STATIC:
            with contextlib.suppress(ValueError):  # already: see above
                jax.tree_util.register_static(cls)
            _STATIC.add(cls)
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise dataclasses.FrozenInstanceError(
            f"cannot assign to field {name!r} of {type(self).__name__}, which is frozen: "
            "what it is made with is a field, what follows from that a property, what "
            "changes from step to step a part of the carry; for another value take "
            f"dataclasses.replace(..., {name}=...)"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __post_init__(self) -> None:
        for name, value in self._given():
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))

    def _given(self, **wanted: bool) -> list[tuple[str, Any]]:
        """Names and values, of fields that are as wanted: `init`, `repr`, `compare`."""
        return [
            (field.name, getattr(self, field.name))
            for field in dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
            if all(getattr(field, name) == value for name, value in wanted.items())
            if hasattr(self, field.name)
        ]

    def __repr__(self) -> str:
        fields = self.__dataclass_fields__  # pyright: ignore[reportAttributeAccessIssue]
        shown = [
            f"{name}={_expression(value)}"
            for name, value in self._given(init=True, repr=True)
            if _typed(value) != _typed(_default(fields[name]))
        ]
        return f"{_name(type(self))}({', '.join(shown)})"

    def _value(self) -> tuple:
        return (type(self), *(_typed(value) for _, value in self._given(compare=True)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self._value() == other._value()

    def __hash__(self) -> int:
        return hash(self._value())


def _remedy(cls: type, error: str) -> str:
    if "non-default argument" in error:
        return (
            f"; give it a default, or make all fields of {cls.__name__} keywords: "
            f"class {cls.__name__}(..., kw_only=True)"
        )
    if "mutable default" in error:
        return (
            "; fields are numbers, strings, tuples, cells and functions: arrays belong "
            "in the params, and for a list take a tuple"
        )
    return ""


def _typed(value: Any) -> tuple:
    """With the type: 1, 1.0 and True are equal, but compute in different dtypes."""
    return type(value), value


def _default(field: Any) -> Any:
    # By type: a class that was pickled by value has sentinels of its own.
    if isinstance(field.default_factory, type(dataclasses.MISSING)):
        return field.default
    made = field.default_factory()
    return tuple(made) if isinstance(made, list) else made


class _NoDefault:
    """In a class, hides what a field of its name would inherit, such as a property.

    `dataclass` takes what the class has under the name for the field's default, and an
    instance cannot be given what a property of its class stands for.
    """

    def __get__(self, instance: Any, owner: Any) -> Any:
        raise AttributeError


def _annotated(cls: type) -> list[str]:
    if sys.version_info >= (3, 14):
        return list(get_annotations(cls, format=Format.FORWARDREF))
    return list(get_annotations(cls))


def _name(cls: type) -> str:
    """Of a class, as it is written under `from jaxrnn import *`."""
    _, _, room = cls.__module__.partition(f"{__package__}.")
    known = getattr(sys.modules[__package__ or ""], cls.__name__, None) is cls
    return (
        cls.__qualname__ if known or room[:6] != "cells." else f"cells.{cls.__qualname__}"
    )


def _expression(value: Any) -> str:
    """`value` as it is written under `from jaxrnn import *`."""
    if hasattr(value, "_fields"):  # a NamedTuple, such as LSTMCarry(h=0.05, c=0.5)
        pairs = zip(value._fields, value, strict=True)
        shown = ", ".join(f"{name}={_expression(entry)}" for name, entry in pairs)
        return f"{_name(type(value))}({shown})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_expression, value))}{',' * (len(value) == 1)})"
    if callable(value) and hasattr(value, "__qualname__"):
        module = (value.__module__ or "__main__").removeprefix("jaxrnn.")
        return (
            value.__qualname__
            if module == "__main__"
            else f"{module}.{value.__qualname__}"
        )
    return repr(value)
