"""The settings of the method that are compared, as far as this version has them."""

import dataclasses
from typing import Any

import jaxrnn


def existing(**settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings of `Scan` whose fields there are, by the code that makes them."""
    fields = {field.name for field in dataclasses.fields(jaxrnn.Scan)}
    scans = [
        jaxrnn.Scan(**options)
        for options in settings.values()
        if options.keys() <= fields
    ]
    return {repr(scan): scan for scan in scans}


METHODS = existing(
    default={},
    autodiff={"autodiff": True},
    remat={"remat": True},
)
