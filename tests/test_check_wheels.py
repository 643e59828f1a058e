"""What `make wheels` makes of a registry's answer; it is asked by hand only."""

import pytest
from packaging.requirements import Requirement

from tests.check_wheels import CONSTRAINTS, find_gaps, read_pins, read_wheels


def wheels(pin, *names, pythons=None, **more):
    page = {"files": [{"filename": name, "requires-python": pythons, **more} for name in names]}
    return list(read_wheels(page, Requirement(pin)))


def gaps(pin, *names, **more):
    return find_gaps(Requirement(pin), wheels(pin, *names, **more))


ALL = ["3.11", "3.12", "3.13", "3.14"]
EVERYWHERE = dict.fromkeys(["Linux x86_64", "Linux aarch64", "macOS arm64", "Windows x86_64"], ALL)


def test_a_wheel_of_pure_python_fits_everywhere():
    assert gaps("a==1.0", "a-1.0-py3-none-any.whl") == {}


@pytest.mark.parametrize(
    "name", ["a-1.1-py3-none-any.whl", "a-1.0.tar.gz", "a-1.0-cp310-cp310-win_amd64.whl"]
)
def test_another_version_the_source_or_an_older_python_fits_nowhere(name):
    assert gaps("a==1.0", name) == EVERYWHERE


def test_a_wheel_that_was_withdrawn_does_not_count():
    assert gaps("a==1.0", "a-1.0-py3-none-any.whl", yanked="broken") == EVERYWHERE


def test_the_stable_interface_fits_later_pythons_and_an_older_glibc_newer_ones():
    names = (
        "a-1.0-cp311-abi3-manylinux_2_24_aarch64.whl",
        "a-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "a-1.0-cp312-abi3-macosx_11_0_arm64.whl",
        "a-1.0-cp311-cp311-win_amd64.whl",
    )
    assert gaps("a==1.0", *names) == {
        "Linux x86_64": ["3.11", "3.12", "3.14"],
        "macOS arm64": ["3.11"],
        "Windows x86_64": ["3.12", "3.13", "3.14"],
    }


def test_a_glibc_or_a_macos_newer_than_pytorch_asks_for_does_not_count():
    names = ("a-1.0-cp311-abi3-manylinux_2_31_x86_64.whl", "a-1.0-cp311-abi3-macosx_15_0_arm64.whl")
    assert gaps("a==1.0", *names) == EVERYWHERE


def test_the_first_release_of_a_python_counts_for_it():
    found = gaps("a==1.0", "a-1.0-py3-none-any.whl", pythons=">=3.11.5")
    assert set(map(tuple, found.values())) == {("3.11",)}
    assert len(found) == 4


def test_a_pin_counts_where_its_marker_holds():
    assert gaps("a==1.0 ; sys_platform == 'win32' and python_version >= '3.13'") == {
        "Windows x86_64": ["3.13", "3.14"]
    }


def test_every_line_of_the_constraints_is_asked_for():
    pins = [pin.name for pin in read_pins(CONSTRAINTS)]
    assert len(pins) > 100
    assert {"torch", "numpy", "pytest"} <= set(pins)
