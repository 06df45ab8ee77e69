"""What ctypes is told of the library, against the header and against a C compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clusters import ROOT
from quorate import _declarations


def test_the_declarations_are_what_the_header_says() -> None:
    script = ROOT / "bindings/python/tools/declare.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_exported_function_is_declared() -> None:
    exported = (ROOT / "include/symbols.txt").read_text().split()
    assert sorted(_declarations.FUNCTIONS) == sorted(name for name in exported if name.startswith("quorate_"))


STRUCTURES = {
    "quorate_value": _declarations.Value,
    "quorate_value_data": _declarations.ValueData,
    "quorate_timestamp": _declarations.Timestamp,
    "quorate_result": _declarations.Result,
    "quorate_column": _declarations.Column,
    "quorate_value_buffer": _declarations.ValueBuffer,
}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_structures_lie_in_memory_as_the_compiler_lays_them(tmp_path: Path) -> None:
    source = ["#include <stdio.h>", "#include <stddef.h>", '#include "quorate.h"', "int main(void) {"]
    expected = []
    for name, structure in STRUCTURES.items():
        source.append(f'printf("{name} %zu\\n", sizeof({name}));')
        expected.append(f"{name} {ctypes.sizeof(structure)}")
        fields: Any = structure._fields_
        for field in (one[0] for one in fields):
            source.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
            expected.append(f"{name}.{field} {getattr(structure, field).offset}")
    source.append("return 0; }")
    (tmp_path / "layout.c").write_text("\n".join(source))
    program = tmp_path / "layout"
    subprocess.run(["cc", f"-I{ROOT / 'include'}", tmp_path / "layout.c", "-o", program], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert printed.split("\n")[:-1] == expected
