#!/bin/sh
# Builds the wheel, with the shared library inside, into target/wheels. Run by `make wheel`.
#
# Its tag names the oldest glibc whose symbols the library uses, as PEP 600 has it.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
python=${PYTHON:-python3}
library=$root/target/release/libquorate.so
package=$root/bindings/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --lib
needed=$(objdump -T "$library" | sed -n 's/.*(\{0,1\}GLIBC_\([0-9]*\.[0-9]*\)\(\.[0-9]*\)\{0,1\})\{0,1\} .*/\1/p' | sort -V | tail -n 1)
export QUORATE_PLATFORM="manylinux_$(echo "$needed" | tr . _)_$(uname -m)"

cp -R "$package/src" "$package/pyproject.toml" "$package/setup.py" "$package/README.md" "$work"
find "$work" -name __pycache__ -o -name '*.egg-info' | xargs rm -rf
cp "$root"/LICENSE-* "$work"
objcopy --strip-debug "$library" "$work/src/quorate/libquorate.so"
mkdir -p "$root/target/wheels"
rm -f "$root"/target/wheels/quorate-*.whl
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$root/target/wheels" "$work"
ls "$root"/target/wheels/quorate-*.whl
