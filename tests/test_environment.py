"""pyproject.toml (ranges), constraints.txt (exact versions) and environment.yml (conda) agree with each other."""

import re
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import mmlab
from tests.check_wheels import PYTHONS

PROJECT = Path(mmlab.__file__).parents[1]
ABOUT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
APART = "atlas"  # an extra with 40 packages behind it, some older than the pins: in an environment of its own
DIRECT = [
    Requirement(line)
    for extra, lines in {"": ABOUT["dependencies"], **ABOUT["optional-dependencies"]}.items()
    for line in lines
    if extra != APART and ((marker := Requirement(line).marker) is None or marker.evaluate())
]
LINES = [
    line
    for line in (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
PINS = {canonicalize_name(pin.name): pin for pin in map(Requirement, LINES)}
BY_TORCH = ("cuda-", "nvidia-", "triton")  # for GPUs on Linux; torch itself asks for exact versions
CONDA = yaml.safe_load((PROJECT / "environment.yml").read_text(encoding="utf-8"))


def pinned_version(name):
    (specifier,) = PINS[canonicalize_name(name)].specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_a_direct_dependency_has_a_range_and_a_pin_inside_it(requirement):
    assert requirement.specifier
    assert pinned_version(requirement.name) in requirement.specifier


def test_every_constraint_is_one_public_version():
    assert len(PINS) == len(LINES)
    for name in PINS:
        assert re.fullmatch(r"[0-9][0-9a-z.]*", pinned_version(name)), (
            f"{name}: no local version, no wildcard"
        )


def test_constraints_name_no_place():
    assert not re.search(r"://|@|(^|\s)-", "\n".join(LINES))


def test_the_pins_are_what_the_tests_run_with():
    for requirement in DIRECT:
        assert version(requirement.name).split("+")[0] == pinned_version(requirement.name)


def test_what_the_dependencies_bring_is_pinned_too():
    coming, seen = list(DIRECT), set()
    while coming:
        requirement = coming.pop()
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in seen or name.startswith(BY_TORCH):
            continue
        seen.add((name, *sorted(requirement.extras)))
        assert name in PINS, f"{name} has no line in constraints.txt"
        extras = requirement.extras or {""}
        for needed in map(Requirement, distribution(name).requires or ()):
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                coming.append(needed)
    assert len(seen) > 100


def test_conda_gives_python_and_tesseract_and_pip_installs_the_package_as_pinned():
    *packages, pip = CONDA["dependencies"]
    assert CONDA["name"] == ABOUT["name"] == "mmlab"
    assert [Requirement(package).name for package in packages] == ["python", "tesseract", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e ."]}


def test_the_python_versions_agree():
    ours = SpecifierSet(ABOUT["requires-python"])
    conda = Requirement(CONDA["dependencies"][0]).specifier
    for python in ("3.10", *PYTHONS, "3.15"):
        assert (python in ours) == (python in conda) == (python in PYTHONS)
    for machinery in ("Makefile", ".ci/run"):
        text = (PROJECT / machinery).read_text(encoding="utf-8")
        assert "(3, 11) <= sys.version_info < (3, 15)" in text
        assert " ".join(f"python{python}" for python in reversed(PYTHONS)) in text


def test_the_store_engine_is_pinned_exactly():
    edge = next(requirement for requirement in DIRECT if requirement.name == "qdrant-edge-py")
    assert str(edge.specifier).startswith("==")


def test_the_version_is_said_once():
    assert "version" in ABOUT["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", mmlab.__version__)
