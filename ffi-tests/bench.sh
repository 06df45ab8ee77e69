#!/bin/sh
# Measures the C ABI beside the Rust API, on one dqlite node and one PostgreSQL server: instructions of a point query
# (callgrind, the difference of two numbers of queries, so that start and end drop out) and a scan of a million rows,
# in turn.
set -eu

cd "$(dirname "$0")/.."
cargo build --release --bin quorate --lib
cargo build --release --example ffi_bench
work=$(mktemp -d "${TMPDIR:-/tmp}/quorate-bench-XXXXXX")
node=
server=
finish() {
    [ -z "$node" ] || kill -KILL "$node" 2>/dev/null || true
    # The server ends when its standard input does.
    exec 3>&-
    [ -z "$server" ] || wait "$server" || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

host=127.$((1 + $$ / 65536 % 250)).$(($$ / 256 % 256)).$((1 + $$ % 255 % 254))
target/release/quorate node --id 1 --address "$host:9201" --dir "$work/node" >"$work/node.out" 2>&1 &
node=$!
until grep -q ready "$work/node.out"; do sleep 0.1; done
mkfifo "$work/commands"
python3 bindings/testing/cluster.py picodata 1 <"$work/commands" >"$work/server.out" 2>"$work/server.err" &
server=$!
exec 3>"$work/commands"
until grep -q ready "$work/server.out"; do
    kill -0 "$server" || exit 1
    sleep 0.1
done
postgres=$(sed -n 's/^ready //p' "$work/server.out")
if [ -z "${QUORATE_PREFIX:-}" ]; then
    PREFIX=$work/prefix sh scripts/install.sh
    QUORATE_PREFIX=$work/prefix
fi
export PKG_CONFIG_PATH="$QUORATE_PREFIX/lib/pkgconfig" LD_LIBRARY_PATH="$QUORATE_PREFIX/lib"
# shellcheck disable=SC2046
cc -std=c11 -D_GNU_SOURCE -O2 -Iffi-tests $(pkg-config --cflags quorate) -o "$work/bench" ffi-tests/bench.c \
    $(pkg-config --libs quorate)

instructions() {
    valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" "$@" 2>&1 |
        sed -n 's/.*Collected : //p'
}
per_query() { # what, command…
    what=$1
    shift
    # So many that what the worker of the pool does meanwhile counts for nothing.
    echo $((($(instructions "$@" "$what" 20200) - $(instructions "$@" "$what" 200)) / 20000))
}
for url in "dqlite://$host:9201/c" "$postgres?topology=off&placeholders=question"; do
    export QUORATE_TEST_URL="$url"
    database=${url%%:*}
    "$work/bench" setup >/dev/null
    for what in point row pool; do
        native=$(per_query $what target/release/examples/ffi_bench)
        abi=$(per_query $what "$work/bench")
        echo "$database, $what: $native instructions of user code in Rust, $abi through the C ABI" \
            "($(((1000 * (abi - native)) / native)) per mille more)"
    done
    for turn in 1 2 3; do
        native=$(target/release/examples/ffi_bench scan)
        abi=$("$work/bench" scan)
        echo "$database, scan of 1,000,000 rows, turn $turn: $((native / 1000000)) ms in Rust," \
            "$((abi / 1000000)) ms through the C ABI ($((100 * native / abi)) % of the speed)"
    done
done
