#!/bin/sh
# Installs what is missing for a target of the Makefile, and says what. Changes nothing where all is there.
#
#   scripts/install-deps.sh demo|check|test|bench|fuzz|install|ffi|go|python|all
set -eu

purpose=${1:-all}
PATH=$PATH:/usr/sbin:/sbin

packages=
programs=

# need NAME PACKAGES: notes that NAME is missing, and the Debian packages that have it.
need() {
    programs="$programs
  $1"
    packages="$packages $2"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

need_compiler() {
    # Rust links with it, and SQLite and ring are compiled by it.
    has cc || need "a C compiler (cc)" "gcc libc6-dev"
}

need_libdqlite() {
    # Opened at run time, by nodes alone.
    test -n "${QUORATE_LIBDQLITE:-}" && return
    # Not grep -q: it would end ldconfig's output early, with an error.
    ldconfig -p 2>/dev/null | grep -F libdqlite.so.0 >/dev/null ||
        need "libdqlite (libdqlite.so.0, or its file named by QUORATE_LIBDQLITE)" libdqlite0
}

need_pkg_config() {
    has pkg-config || need pkg-config pkg-config
}

need_binutils() {
    # The static library is put together again by them.
    has objcopy && has ar && has nm || need "objcopy, ar and nm" binutils
}

need_c_programs() {
    # cc brings the run-time libraries of its sanitizers.
    has c++ || need "a C++ compiler (c++), which the header has to please as well" g++
    need_binutils
    need_pkg_config
    has python3 || need python3 python3-minimal
    has valgrind || need valgrind "valgrind libc6-dbg"
    has setarch || need setarch util-linux
}

need_postgres() {
    has postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 ||
        need "a PostgreSQL server" postgresql
}

need_test_servers() {
    need_pkg_config
    has dqlite-demo && has dqlite ||
        need "go-dqlite's programs dqlite-demo and dqlite" go-dqlite
    need_postgres
}

need_libpq() {
    # Opened at run time, by the benchmark that is run beside it.
    ldconfig -p 2>/dev/null | grep -F libpq.so.5 >/dev/null || need "libpq (libpq.so.5)" libpq5
}

need_go() {
    need_compiler
    need_libdqlite
    need_pkg_config
    need_postgres
    has go || need "Go 1.19 or later (go)" golang-go
    has python3 || need python3 python3-minimal
}

need_python() {
    has python3 || need python3 python3-minimal
    python3 -c 'import ensurepip, venv' 2>/dev/null || need "Python's module venv" python3-venv
    # They say which glibc the library in the wheel needs.
    has objdump || need objdump binutils
}

# What the tests of the Python package need, in an environment of their own.
make_python_environment() {
    root=$(cd "$(dirname "$0")/.." && pwd)
    environment=$root/target/python-venv
    wanted=$root/bindings/python/requirements.txt
    cmp -s "$wanted" "$environment/installed.txt" && return
    echo "installing with pip, into target/python-venv: $(grep -v '^#' "$wanted" | tr '\n' ' ')"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --editable "$root/bindings/python"
    cp "$wanted" "$environment/installed.txt"
}

need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    if ! has rustup; then
        echo "cargo $1 is missing: install $2 for your Rust" >&2
        exit 1
    fi
    echo "installing with rustup: $2"
    rustup component add "$2"
}

need_fuzz() {
    need_compiler
    has c++ || need "a C++ compiler (c++), which builds libFuzzer" g++
    if ! cargo +nightly --version >/dev/null 2>&1; then
        if ! has rustup; then
            echo "a nightly Rust is missing: the sanitizers need one; install it with rustup" >&2
            exit 1
        fi
        echo "installing with rustup: a nightly Rust"
        rustup toolchain install nightly --profile minimal
    fi
}

# Built by cargo, and so once there is a compiler.
make_cargo_fuzz() {
    cargo fuzz --version >/dev/null 2>&1 && return
    echo "installing with cargo: cargo-fuzz"
    cargo install --quiet --locked cargo-fuzz
}

if ! has cargo; then
    echo "cargo is missing: install Rust 1.88 or later with rustup" >&2
    exit 1
fi

case $purpose in
demo)
    need_compiler
    need_libdqlite
    ;;
bench)
    need_compiler
    need_libdqlite
    need_postgres
    need_libpq
    ;;
fuzz)
    need_fuzz
    ;;
check)
    need_compiler
    need_component fmt rustfmt
    need_component clippy clippy
    ;;
install)
    need_compiler
    need_binutils
    ;;
ffi)
    need_compiler
    need_libdqlite
    need_c_programs
    need_postgres
    ;;
python)
    need_compiler
    need_libdqlite
    need_test_servers
    need_python
    ;;
go)
    need_go
    ;;
test | all)
    need_compiler
    need_go
    need_libdqlite
    need_c_programs
    need_test_servers
    need_libpq
    need_python
    need_component fmt rustfmt
    need_component clippy clippy
    ;;
*)
    echo "usage: $0 demo|check|test|bench|fuzz|install|ffi|go|python|all" >&2
    exit 2
    ;;
esac

after_packages() {
    case $purpose in
    fuzz) make_cargo_fuzz ;;
    python | test | all) make_python_environment ;;
    esac
}

if test -z "$packages"; then
    after_packages
    exit 0
fi
if ! has apt-get; then
    echo "missing; install by your system's means:$programs" >&2
    exit 1
fi
as_root=
if test "$(id -u)" != 0; then
    if ! has sudo; then
        echo "missing; as root, run: apt-get install$packages" >&2
        exit 1
    fi
    as_root=sudo
fi

echo "installing with apt-get:$packages"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1
}
# An old list of packages may do.
apt update || echo "apt-get update failed; trying with the list of packages that is there" >&2
# shellcheck disable=SC2086 # a list of words
if ! apt install --yes --no-install-recommends $packages; then
    cat "$log" >&2
    exit 1
fi
after_packages
