"""Which cases are in the default run."""

import pytest


def by_default(every, *some):
    """The cases, those not among `some` in the slow run only."""
    return [
        case if case in some else pytest.param(case, marks=pytest.mark.slow)
        for case in every
    ]
