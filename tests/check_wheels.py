"""Whether every pin has a wheel wherever mmlab runs: `make wheels`, by hand before constraints.txt changes.

Each pinned package is asked for once, at the registry that pip asks, for the list of its files; nothing is downloaded.
A pin counts for a Python and a platform if its marker holds there. What lacks a wheel is printed, a line for each pin
and platform, and the exit code is 1.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from pip._internal.models.index import PyPI

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC = (2, 28)  # Debian 10, RHEL 8: PyTorch's own wheels ask for it
MACOS = (14, 0)  # for PyTorch as well
REGISTRY = os.environ.get("PIP_INDEX_URL", PyPI.simple_url).rstrip("/")
AT_ONCE = 8  # packages asked for at a time
JSON_PAGE = {"Accept": "application/vnd.pypi.simple.v1+json"}  # PEP 691


def linux_tags(machine: str) -> list[str]:
    """The tags of wheels for Linux with this glibc or an older one: PEP 600, and the names that came before it."""
    tags = [f"manylinux_{GLIBC[0]}_{minor}_{machine}" for minor in range(GLIBC[1], 4, -1)]
    older = [f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1")]
    return [*tags, *older, f"linux_{machine}"]


@dataclass(frozen=True)
class Platform:
    """Where mmlab runs: a name for people, what markers compare (PEP 508), and the tags of wheels that fit."""

    name: str
    markers: Mapping[str, str]
    tags: list[str]


def unix(system: str, machine: str) -> dict[str, str]:
    return {
        "os_name": "posix", "sys_platform": system.lower(), "platform_system": system, "platform_machine": machine,
    }  # fmt: skip


PLATFORMS = (
    Platform("Linux x86_64", unix("Linux", "x86_64"), linux_tags("x86_64")),
    Platform("Linux aarch64", unix("Linux", "aarch64"), linux_tags("aarch64")),
    Platform("macOS arm64", unix("Darwin", "arm64"), list(mac_platforms(MACOS, "arm64"))),
    Platform(
        "Windows x86_64",
        {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
        ["win_amd64"],
    ),
)


class Wheel(NamedTuple):
    """A wheel in the registry: what it fits, and the Pythons that its author allows."""

    tags: frozenset[Tag]
    pythons: SpecifierSet

    def fits(self, python: str, tags: set[Tag]) -> bool:
        """Return whether pip would take it."""
        return not self.tags.isdisjoint(tags) and self.pythons.contains(f"{python}.0")


def read_pins(path: Path) -> list[Requirement]:
    """Return the lines of constraints.txt."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def read_wheels(page: Mapping[str, Any], pin: Requirement) -> Iterator[Wheel]:
    """Yield the wheels of the pinned version that a package's page lists (PEP 691), without those withdrawn."""
    for file in page["files"]:
        if file["filename"].endswith(".whl") and not file.get("yanked"):
            with suppress(InvalidWheelFilename):  # some of long ago
                _, version, _, tags = parse_wheel_filename(file["filename"])
                if version in pin.specifier:
                    yield Wheel(tags, SpecifierSet(file.get("requires-python") or ""))


def fitting_tags(python: str, platform: Platform) -> set[Tag]:
    """Return the tags of all wheels that CPython in this version takes on this platform."""
    version = tuple(map(int, python.split(".")))
    interpreter = f"cp{version[0]}{version[1]}"
    return {
        *cpython_tags(version, platforms=platform.tags),
        *compatible_tags(version, interpreter, platform.tags),
    }


def applies(pin: Requirement, python: str, platform: Platform) -> bool:
    """Return whether the marker of a pin holds there."""
    where = {**platform.markers, "python_version": python, "python_full_version": f"{python}.0"}
    return pin.marker is None or pin.marker.evaluate(where)


def find_gaps(pin: Requirement, wheels: list[Wheel]) -> dict[str, list[str]]:
    """Return the platforms on which a pin lacks a wheel, each with the Pythons that lack one."""
    gaps: dict[str, list[str]] = {}
    for platform in PLATFORMS:
        for python in PYTHONS:
            tags = TAGS[python, platform.name]
            if applies(pin, python, platform) and not any(wheel.fits(python, tags) for wheel in wheels):
                gaps.setdefault(platform.name, []).append(python)
    return gaps


TAGS = {
    (python, platform.name): fitting_tags(python, platform) for python in PYTHONS for platform in PLATFORMS
}


def ask(pins: list[Requirement]) -> Iterator[list[Wheel]]:
    """Yield the wheels of each pinned package, in the order of the pins."""
    with (
        httpx.Client(headers=JSON_PAGE, timeout=60, follow_redirects=True) as client,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        pages = [f"{REGISTRY}/{canonicalize_name(pin.name)}/" for pin in pins]
        for pin, answer in zip(pins, threads.map(client.get, pages), strict=True):
            yield list(read_wheels(answer.raise_for_status().json(), pin))


def main() -> int:
    """Print the gaps, a line for each pin and platform; return the exit code."""
    pins = read_pins(CONSTRAINTS)
    gaps = 0
    for pin, wheels in zip(pins, ask(pins), strict=True):
        for platform, pythons in find_gaps(pin, wheels).items():
            gaps += 1
            print(f"{pin}: no wheel for {platform}, Python {', '.join(pythons)}")
    checked = f"{len(pins)} pins, Python {PYTHONS[0]} to {PYTHONS[-1]}, {len(PLATFORMS)} platforms"
    print(f"{checked}: {f'{gaps} gaps' if gaps else 'a wheel for each'}")
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main())
