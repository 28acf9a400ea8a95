"""The settings of the method that are compared, as far as this version has them."""

import dataclasses
from typing import Any

import jaxrnn

# The default first.
SETTINGS: tuple[dict[str, Any], ...] = ({}, {"autodiff": True}, {"remat": True})


def existing() -> dict[str, Any]:
    """Those settings of `Scan` whose fields there are, by the code that makes them."""
    fields = {field.name for field in dataclasses.fields(jaxrnn.Scan)}
    methods = {}
    for setting in SETTINGS:
        if setting.keys() <= fields:
            words = [f"{name}={value!r}" for name, value in setting.items()]
            methods[f"Scan({', '.join(words)})"] = jaxrnn.Scan(**setting)
    return methods


METHODS = existing()
