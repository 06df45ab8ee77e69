//! Names the shared library for its users, and sees to it that the header is of the crate's version.
//!
//! What the shared library exports needs no script: rustc gives the linker a list of the functions that are
//! `no_mangle` and hides everything else, SQLite's own symbols included. (A second, anonymous version script
//! is an error to the linker.) `scripts/check-symbols.sh` compares the outcome with `include/symbols.txt`.

use std::env;
use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=include/quorate.h");
    println!("cargo::rerun-if-env-changed=QUORATE_UPDATE_HEADER");
    let version = |part: &str| env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default();
    println!(
        "cargo::rustc-cdylib-link-arg=-Wl,-soname,libquorate.so.{}",
        version("MAJOR")
    );
    // A dlclose leaves the library where it is: Rust's standard library takes a key for thread-local data at each load and
    // never gives it back, so that the process of a program that loads it a thousand times was ended ("out of TLS keys").
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");

    let Ok(header) = fs::read_to_string("include/quorate.h") else {
        return;
    };
    if env::var_os("QUORATE_UPDATE_HEADER").is_some() {
        return;
    }
    for part in ["MAJOR", "MINOR", "PATCH"] {
        let line = format!("#define QUORATE_VERSION_{part} {}", version(part));
        if !header.lines().any(|found| found == line) {
            println!(
                "cargo::error=include/quorate.h does not say {line:?}: set the version in \
                 src/ffi/version.rs and run QUORATE_UPDATE_HEADER=1 cargo test --test header"
            );
        }
    }
}
