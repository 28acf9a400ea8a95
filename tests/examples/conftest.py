"""What tests of several examples use."""

import pytest


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "alphabet.txt"
    path.write_text("abcdefghijklmnopqrstuvwxyz, ø.\n" * 60, encoding="utf-8")
    return path
