#!/bin/sh
# Builds the C programs from an installed prefix and runs them against a cluster of three dqlite nodes and against
# PostgreSQL servers that look like one of Picodata: plainly, under AddressSanitizer and UndefinedBehaviorSanitizer,
# under valgrind, and, the one with threads, under ThreadSanitizer.
#
#     run.sh [plain|asan|valgrind|threads|compile]...      all of them where none is named
set -eu

cd "$(dirname "$0")/.."
modes=${*:-compile plain asan valgrind threads}
work=$(mktemp -d "${TMPDIR:-/tmp}/quorate-ffi-XXXXXX")
nodes=
servers=
skipped=
finish() {
    # The servers end when their standard input does.
    exec 3>&-
    [ -z "$servers" ] || wait "$servers" || true
    for node in $nodes; do
        kill -KILL "$node" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

if [ -z "${QUORATE_PREFIX:-}" ]; then
    cargo build --release
    PREFIX=$work/prefix sh scripts/install.sh
    QUORATE_PREFIX=$work/prefix
fi
export PKG_CONFIG_PATH="$QUORATE_PREFIX/lib/pkgconfig" LD_LIBRARY_PATH="$QUORATE_PREFIX/lib"
sh scripts/check-symbols.sh "$QUORATE_PREFIX/lib"
cflags="$(pkg-config --cflags quorate) -Wall -Wextra -Wpedantic -Werror -g -O1 -Iffi-tests -I$work"
libs="$(pkg-config --libs quorate) -lpthread -ldl"
: "${CC:=cc}" "${CXX:=c++}"

# A loopback address that no other run has, so that the ports are free.
host=127.$((1 + $$ / 65536 % 250)).$(($$ / 256 % 256)).$((1 + $$ % 255 % 254))
start_node() {
    : >"$work/node-$1.out"
    "${QUORATE_PROGRAM:-target/release/quorate}" node --id "$1" --address "$host:$((9200 + $1))" --dir "$work/node-$1" \
        --network-latency 30 >"$work/node-$1.out" 2>"$work/node-$1.err" &
    nodes="$nodes $!"
    for _ in $(seq 200); do
        grep -q ready "$work/node-$1.out" && return
        sleep 0.05
    done
    cat "$work/node-$1.err" >&2
    echo "node $1 did not start within 10 s" >&2
    exit 1
}
for id in 1 2 3; do start_node $id; done
dqlite="dqlite://$host:9201/c"
export QUORATE_TEST_DIR="$work"

mkfifo "$work/commands"
python3 bindings/testing/cluster.py picodata 3 <"$work/commands" >"$work/servers.out" 2>"$work/servers.err" &
servers=$!
exec 3>"$work/commands"
for _ in $(seq 1200); do
    grep -q ready "$work/servers.out" && break
    kill -0 "$servers" 2>/dev/null || break
    sleep 0.05
done
if ! grep -q ready "$work/servers.out"; then
    cat "$work/servers.err" >&2
    echo "the PostgreSQL servers did not start within 60 s" >&2
    exit 1
fi
cluster=$(sed -n 's/^ready [a-z]*//p' "$work/servers.out")
# Rows are each server's own, so all but the program about several instances use the first alone.
first="$(echo "$cluster" | sed 's/,[^/]*//')?topology=off"
postgres="postgres$first&placeholders=question"

python3 ffi-tests/null.py include/quorate.h include/symbols.txt >"$work/null_calls.h"

build() { # program, output, flags…
    program=$1 output=$2
    shift 2
    # shellcheck disable=SC2086
    "$CC" -std=c11 -D_GNU_SOURCE $cflags "$@" -o "$output" "ffi-tests/$program.c" $libs
}

run() { # name, command…
    name=$1
    shift
    if ! timeout 300 "$@" >"$work/out" 2>&1; then
        cat "$work/out"
        echo "FAILED: $name" >&2
        exit 1
    fi
    sed "s/^/    /" "$work/out"
    echo "ok: $name"
}

build setup "$work/setup"
run setup env QUORATE_TEST_URL="$dqlite" "$work/setup" "$host:9201" "$host:9202" "$host:9203"

both="values errors misuse bulk arrow batch null threads unload sigpipe signals descriptors"
programs=${QUORATE_PROGRAMS:-$both callbacks node instances}

# Runs a program against each database that it is about.
on_databases() { # program, suffix of the name, command…
    program=$1 suffix=$2
    shift 2
    case $program in
    callbacks | node) run "$program$suffix, dqlite" env QUORATE_TEST_URL="$dqlite" "$@" ;;
    instances) run "$program$suffix, PostgreSQL" env QUORATE_TEST_URL="postgres$cluster" "$@" ;;
    *)
        run "$program$suffix, dqlite" env QUORATE_TEST_URL="$dqlite" "$@"
        run "$program$suffix, PostgreSQL" env QUORATE_TEST_URL="$postgres" "$@"
        ;;
    esac
}

for mode in $modes; do
    case $mode in
    compile)
        for standard in c99 c11; do
            printf '#include <quorate.h>\n#include <quorate.h>\nint main(void) { return 0; }\n' >"$work/one.c"
            # shellcheck disable=SC2086
            "$CC" -std=$standard $cflags -c "$work/one.c" -o "$work/one.o"
        done
        printf '#include <quorate.h>\n%s\n' \
            'quorate_value made() { return quorate_make_named(QUORATE_TEXT("id"), quorate_make_blob("x", 1)); }' >"$work/one.c"
        # shellcheck disable=SC2086
        "$CXX" -std=c++17 $cflags -Wconversion -Wold-style-cast -x c++ -c "$work/one.c" -o "$work/one.o"
        for example in quickstart fruit; do
            # shellcheck disable=SC2086
            "$CC" -std=c99 $cflags "examples/c/$example.c" -o "$work/$example" $libs
        done
        run quickstart "$work/quickstart" "$dqlite" "postgres$first"
        run "fruit, dqlite" "$work/fruit" "$dqlite"
        run "fruit, PostgreSQL" "$work/fruit" "$postgres"
        # shellcheck disable=SC2046,SC2086
        "$CC" -std=c99 $cflags examples/c/quickstart.c -o "$work/quickstart-static" \
            $(pkg-config --libs quorate-static)
        run "quickstart, static" env -u LD_LIBRARY_PATH "$work/quickstart-static" "$dqlite" "postgres$first"
        # glibc warns of what looks for shared libraries at run time: names of hosts and users, libdqlite.
        # shellcheck disable=SC2046,SC2086
        run "quickstart is linked statically" "$CC" -std=c99 $cflags -static examples/c/quickstart.c \
            -o "$work/quickstart-static" $(pkg-config --static --libs quorate)
        run "quickstart, static altogether" env -u LD_LIBRARY_PATH "$work/quickstart-static" "$dqlite" "postgres$first"
        ;;
    plain)
        for program in $programs; do
            build "$program" "$work/$program"
            on_databases "$program" "" "$work/$program"
        done
        ;;
    asan)
        for program in $programs; do
            build "$program" "$work/$program-asan" -fsanitize=address,undefined -fno-sanitize-recover=all
            on_databases "$program" ", sanitizers" env LSAN_OPTIONS=suppressions=ffi-tests/lsan.supp:print_suppressions=0 "$work/$program-asan"
        done
        ;;
    valgrind)
        for program in $programs; do
            # libdqlite's own threads are not the library's to answer for.
            [ "$program" = node ] && continue
            build "$program" "$work/$program"
            on_databases "$program" ", valgrind" valgrind -q --error-exitcode=1 --leak-check=full \
                --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
                "$work/$program"
        done
        ;;
    threads)
        # ThreadSanitizer wants the library built for it, which takes a nightly compiler. (helgrind is no way out: it
        # does not know locks that are made of atomics and futexes, and calls every use of one a race.)
        machine=$(rustc -vV | sed -n 's/^host: //p')
        # A toolchain that is not there must not be fetched.
        export RUSTUP_AUTO_INSTALL=0
        runtime=$(rustc +nightly --print sysroot 2>/dev/null || true)/lib/rustlib/$machine/lib/librustc-nightly_rt.tsan.a
        flags="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
        # shellcheck disable=SC2086
        if [ ! -f "$runtime" ] || ! rustc +nightly $flags --print cfg >"$work/out" 2>&1; then
            echo "SKIPPED: threads under ThreadSanitizer: there is no nightly toolchain that can build for it" >&2
            skipped="$skipped threads-under-ThreadSanitizer"
            continue
        fi
        RUSTFLAGS="$flags --cfg thread_sanitizer" CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
            cargo +nightly build --release --lib --target "$machine" --target-dir target/tsan
        # shellcheck disable=SC2086
        "$CC" -std=c11 -D_GNU_SOURCE $cflags -fsanitize=thread -c -o "$work/threads.o" ffi-tests/threads.c
        # shellcheck disable=SC2046
        "$CC" -rdynamic -o "$work/threads-tsan" "$work/threads.o" \
            -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive "target/tsan/$machine/release/libquorate.a" \
            $(pkg-config --static --libs-only-l quorate | sed 's/-lquorate//')
        # The sanitizer's map of memory does not go with every layout that the kernel chooses.
        on_databases threads ", ThreadSanitizer" env TSAN_OPTIONS=suppressions=ffi-tests/tsan.supp \
            setarch -R "$work/threads-tsan" quick
        ;;
    *)
        echo "there is no mode $mode" >&2
        exit 2
        ;;
    esac
done
if [ -n "$skipped" ]; then
    echo "NOT RUN:$skipped" >&2
fi
