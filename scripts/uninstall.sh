#!/bin/sh
# Removes what install.sh has installed under $DESTDIR$PREFIX.
set -eu

root=${DESTDIR:-}${PREFIX:-/usr/local}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
major=${version%%.*}

rm -f "$root/include/quorate.h" "$root/lib/libquorate.so" "$root/lib/libquorate.so.$major" \
    "$root/lib/libquorate.so.$version" "$root/lib/libquorate.a" "$root/lib/pkgconfig/quorate.pc" \
    "$root/lib/pkgconfig/quorate-static.pc"
