"""The wheel in a clean environment, and the examples."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from clusters import ROOT

EXAMPLES = ROOT / "examples/python"
SAID = {"dqlite": "apple 3\npear 5\nnot written: constraint\n", "picodata": "1 apple\n2 pear\n"}


@pytest.fixture(scope="module")
def wheel() -> Path:
    found = list((ROOT / "target/wheels").glob("quorate-*.whl"))
    assert found, "there is no wheel: run make wheel"
    return found[0]


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that holds the wheel, and where no compiler can be found."""
    place = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    python: Path = place / "venv/bin/python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run(command, check=True, env=bare(place))
    return python


def bare(place: Path) -> dict[str, str]:
    """Surroundings without the sources, without a library of ours, and with nothing in PATH but the environment."""
    return {"PATH": str(place / "venv/bin"), "HOME": str(place), "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize("kind", ["dqlite", "picodata"])
def test_the_wheel_works_in_a_clean_environment(clean: Path, kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(kind)
    surroundings = bare(clean.parents[2])
    program = EXAMPLES / f"quickstart_{kind}.py"
    done = subprocess.run([clean, "-I", program, url], env=surroundings, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (SAID[kind], "")
    asked = "import quorate._library as one; print(one._path())"
    path = subprocess.run([clean, "-I", "-c", asked], env=surroundings, capture_output=True, text=True, check=True)
    assert path.stdout.startswith(str(clean.parents[1])), "the library is not the wheel's"


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    name, version, python, abi, platform = wheel.stem.split("-")
    assert (name, python, abi) == ("quorate", "py3", "none")
    assert platform.startswith("manylinux_2_")
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        library = content.read("quorate/libquorate.so")
    assert "quorate/py.typed" in names
    # The version that the tag names is the newest one that the library asks for.
    needed = platform.split("_")[1:3]
    assert f"GLIBC_{'.'.join(needed)}".encode() in library
    for newer in range(int(needed[1]) + 1, 60):
        assert f"GLIBC_2.{newer}\0".encode() not in library


@pytest.mark.parametrize("kind", ["dqlite", "picodata"])
def test_the_examples_run(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(kind)
    program = EXAMPLES / f"quickstart_{kind}.py"
    done = subprocess.run([sys.executable, program, url], env=os.environ, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (SAID[kind], "")


def test_the_example_of_a_cluster_runs(dqlite: str) -> None:
    program = EXAMPLES / "cluster_dqlite.py"
    done = subprocess.run([sys.executable, program, dqlite], env=os.environ, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1 voter\n2 voter\n3 voter\n[('fruit',)]\n", "")
