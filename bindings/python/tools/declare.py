"""Writes src/quorate/_declarations.py: the numbers, structures and functions of include/quorate.h for ctypes.

    python3 bindings/python/tools/declare.py [--check]

With --check nothing is written, and the status is 1 where the file is not what the header says.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HEADER = ROOT / "include/quorate.h"
OUTPUT = ROOT / "bindings/python/src/quorate/_declarations.py"

PLAIN = {
    "bool": "c_bool",
    "int32_t": "c_int32",
    "uint32_t": "c_uint32",
    "int64_t": "c_int64",
    "uint64_t": "c_uint64",
    "size_t": "c_size_t",
    "double": "c_double",
    "char": "c_char",
    "uint8_t": "c_uint8",
    "void": "None",
}
# Structures whose members are read and written as if they were the outer one's.
TRANSPARENT = {"quorate_value": ["data"], "quorate_value_data": ["bytes", "timestamp"]}
START = '''"""The C interface for ctypes. Written by tools/declare.py from include/quorate.h: change neither by hand."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_bool, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64
from ctypes import c_void_p
from typing import Any

'''


class Header:
    """The header, taken apart by its form, which cbindgen gives it."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        # The Arrow structures are declared by hand; inline functions are not in the library.
        text = text.split("#define QUORATE_NUL_TERMINATED")[1]
        text = re.sub(r"static inline .*?\n}\n", "", text, flags=re.S)
        text = re.sub(r"//[^\n]*", "", text)
        self.enums = self.read_enums(text)
        self.macros = re.findall(r"#define (QUORATE_\w+) (-?\d+|INT64_MAX)\n", text)
        text = re.sub(r"^\s*#[^\n]*", "", text, flags=re.M)
        self.structs = re.findall(r"typedef (?:struct|union) (\w+) {(.*?)} \1;", text, flags=re.S)
        self.unions = set(re.findall(r"typedef union (\w+) {", text))
        self.callbacks = re.findall(r"typedef ([\w ]+?)\s*\(\*(\w+)\)\((.*?)\);", text, flags=re.S)
        rest = re.sub(r"typedef .*?{.*?}[^;]*;|typedef [^{;]*;|enum \w+\s*:?[^{;]*{.*?};", "", text, flags=re.S)
        self.functions = re.findall(r"^([\w *]+?)(quorate_\w+)\(([^)]*)\);", rest, flags=re.M)

    @staticmethod
    def read_enums(text):
        enums = {}
        for name, body in re.findall(r"^enum (quorate_\w+)(?:(?!^enum).)*?^ ?{(.*?)};", text, flags=re.S | re.M):
            enums[name] = re.findall(r"(QUORATE_\w+) = (\d+)", body)
        return enums

    def type(self, words):
        """The ctypes type of a C type, given as in the header."""
        words = words.replace("const", " ").replace("struct ", " ").replace("union ", " ")
        stars = words.count("*")
        name = words.replace("*", " ").split()[0]
        structs = {struct for struct, _ in self.structs}
        if name in ("ArrowArrayStream",):
            return "c_void_p"
        if name in self.enums:
            name, base = "int32_t", "c_int32"
        elif name in PLAIN:
            base = PLAIN[name]
        elif name in structs or name in {callback for _, callback, _ in self.callbacks}:
            base = class_name(name)
        else:
            # An opaque handle.
            base, stars = "c_void_p", stars - 1
        if stars == 0:
            return base
        if base == "None" or base in ("c_char", "c_uint8"):
            base, stars = ("c_char_p" if base == "c_char" else "c_void_p"), stars - 1
        if stars and base == "c_char_p":
            # What is answered through it may hold NULs, so it is taken as an address.
            base = "c_void_p"
        return "POINTER(" * stars + base + ")" * stars

    def argument(self, words):
        words = " ".join(words.split())
        if words in ("void", ""):
            return None
        kind, name = re.fullmatch(r"(.*?[ *])(\w+)", words).groups()
        return name, self.type(kind)

    def arguments(self, text):
        found = [self.argument(one) for one in text.split(",")]
        return [one for one in found if one is not None]


def class_name(name):
    """`quorate_value_buffer` is `ValueBuffer`, `quorate_log_fn` is `LogFn`."""
    return "".join(part.capitalize() for part in name.removeprefix("quorate_").split("_"))


def generate(text):
    header = Header(text)
    lines = [START]
    for name, value in header.macros:
        value = "2**63 - 1" if value == "INT64_MAX" else value
        lines.append(f"{name.removeprefix('QUORATE_')} = {value}\n")
    lines.append("NUL_TERMINATED = 2 ** (8 * ctypes.sizeof(c_size_t)) - 1\n")
    for _, members in sorted(header.enums.items()):
        lines.append("\n")
        lines += [f"{member.removeprefix('QUORATE_')} = {value}\n" for member, value in members]
    for name, body in header.structs:
        base = "ctypes.Union" if name in header.unions else "ctypes.Structure"
        lines.append(f"\n\nclass {class_name(name)}({base}):\n")
        if name in TRANSPARENT:
            lines.append(f"    _anonymous_ = {tuple(TRANSPARENT[name])!r}\n")
        lines.append("    _fields_ = [\n")
        for member in body.split(";"):
            if not member.strip():
                continue
            array = re.fullmatch(r"\s*(\w+) (\w+)\[(\d+)\]", member)
            if array:
                kind, field = f"{header.type(array[1])} * {array[3]}", array[2]
            else:
                field, kind = header.argument(member)
            lines.append(f'        ("{field}", {kind}),\n')
        lines.append("    ]\n")
    for result, name, arguments in header.callbacks:
        types = [kind for _, kind in header.arguments(arguments)]
        # Texts come with their length, and without a NUL.
        types = ["c_void_p" if kind == "c_char_p" else kind for kind in types]
        lines.append(f"\n\n{class_name(name)} = CFUNCTYPE({', '.join([header.type(result), *types])})\n")
    lines.append("\n\n# Of each function: what it answers, and what it takes.\nFUNCTIONS: dict[str, tuple[Any, list[Any]]] = {\n")
    for result, name, arguments in header.functions:
        # An address, because a text with NULs would be cut short.
        answer = header.type(result).replace("c_char_p", "c_void_p")
        types = [kind for _, kind in header.arguments(arguments)]
        lines.append(f'    "{name}": ({answer}, [{", ".join(types)}]),\n')
    lines.append("}\n")
    return "".join(lines)


def main():
    generated = generate(HEADER.read_text())
    if "--check" in sys.argv[1:]:
        if OUTPUT.read_text() != generated:
            print(f"{OUTPUT} is not what the header says: run make header", file=sys.stderr)
            return 1
        return 0
    OUTPUT.write_text(generated)
    return 0


if __name__ == "__main__":
    sys.exit(main())
