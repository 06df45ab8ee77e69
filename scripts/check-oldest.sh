#!/bin/sh
# Checks that the oldest Rust that Cargo.toml names compiles the library and the program: a dependency may ask for a newer one.
# Where that Rust is not there and cannot be installed, it says so and is content.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
for name in "$version" "$version.0"; do
    if cargo "+$name" --version >/dev/null 2>&1; then
        toolchain=$name
        break
    fi
done
if [ -z "${toolchain:-}" ]; then
    echo "installing with rustup: Rust $version, the oldest that is supported"
    if ! rustup toolchain install "$version" --profile minimal; then
        echo "not checked with Rust $version, which cannot be installed here"
        exit 0
    fi
    toolchain=$version
fi
cargo "+$toolchain" check --lib --bins --all-features
