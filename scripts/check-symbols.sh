#!/bin/sh
# Compares what a shared library and a static one export with the list that is checked in.
#
#     check-symbols.sh DIRECTORY
set -eu

for file in "$1/libquorate.so" "$1/libquorate.a"; do
    case $file in
    *.so) dynamic=-D ;;
    *) dynamic= ;;
    esac
    # shellcheck disable=SC2086
    if ! nm $dynamic --defined-only --extern-only "$file" | sed -n 's/^[0-9a-f]* [A-Z] //p' |
        LC_ALL=C sort | diff -u include/symbols.txt -; then
        echo "$file does not export what include/symbols.txt lists" >&2
        exit 1
    fi
done
echo "$(wc -l <include/symbols.txt) symbols, and no other"
