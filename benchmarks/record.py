"""Every number that was measured, and where: a JSON file."""

import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

FLAGS = ("XLA_FLAGS", "GLIBC_TUNABLES")
FLAG_PREFIXES = ("OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "JAX_", "MALLOC_")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


class Record:
    """Rows by question, with the environment; written after each row if there is a file.

    Args:
        path: where to write, or None.
        arguments: of the command line.
    """

    def __init__(self, path: Path | None, arguments: dict[str, Any]) -> None:
        self._path = path
        self.data: dict[str, Any] = {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "flags": flags(),
            "arguments": arguments,
            "versions": {},
            "questions": {},
        }

    def begin(self, question: str) -> None:
        self.data["questions"][question] = []

    def add(self, question: str, **row: Any) -> None:
        self.data["questions"][question].append(row)
        self.save()

    def add_versions(self, versions: dict[str, str]) -> None:
        self.data["versions"] |= versions

    def save(self) -> None:
        """Whole or not at all."""
        if self._path is None:
            return
        new = self._path.with_name(self._path.name + ".new")
        new.write_text(json.dumps(self.data, indent=1) + "\n")
        new.replace(self._path)


def machine() -> dict[str, Any]:
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(),
        "vectors": vectors(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "transparent_huge_pages": HUGE_PAGES.read_text().strip()
        if HUGE_PAGES.exists()
        else None,
    }


def cpu_model() -> str:
    """As the kernel calls it."""
    return cpu_information("model name") or platform.processor()


def vectors() -> str | None:
    """The widest instructions on vectors of floats that it has."""
    flags = cpu_information("flags").split()
    kinds = {"avx512f": "AVX-512", "avx2": "AVX2", "sse4_2": "SSE4.2"}
    return next((title for flag, title in kinds.items() if flag in flags), None)


def cpu_information(field: str) -> str:
    """Of the first processor; empty where the kernel does not say."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def flags() -> dict[str, Any]:
    """The variables that change timings; those that every table must name, even unset."""
    named = {name: os.environ.get(name) for name in FLAGS}
    others = {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith(FLAG_PREFIXES)
    }
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    huge_pages = "glibc.malloc.hugetlb=1" in tunables.split(":")
    return {**named, **others, "glibc_huge_pages": huge_pages}
