#!/bin/sh
# Installs the header, both libraries and the pkg-config file under $DESTDIR$PREFIX.
#
# The static library exports what the shared one does: its members are linked into one object in which all other
# symbols are local, so that a program may bring an SQLite, or another Rust library, of its own.
set -eu

prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
target=${TARGET_DIR:-target}/release
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
major=${version%%.*}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CC:-cc} -r -nostdlib -o "$work/quorate.o" -Wl,--whole-archive "$target/libquorate.a"
# Bitcode beside the machine code makes binutils call an LLVM plugin, which may be older than the bitcode.
${OBJCOPY:-objcopy} -w --keep-global-symbol='quorate_*' --remove-section=.llvmbc --remove-section=.llvmcmd \
    "$work/quorate.o"
rm -f "$work/libquorate.a"
${AR:-ar} rcs "$work/libquorate.a" "$work/quorate.o"

for package in quorate quorate-static; do
    sed -e "s|@PREFIX@|$prefix|" -e "s|@VERSION@|$version|" "scripts/$package.pc.in" >"$work/$package.pc"
done

install -d "$root/include" "$root/lib/pkgconfig"
install -m 644 include/quorate.h "$root/include/quorate.h"
install -m 755 "$target/libquorate.so" "$root/lib/libquorate.so.$version"
ln -sf "libquorate.so.$version" "$root/lib/libquorate.so.$major"
ln -sf "libquorate.so.$major" "$root/lib/libquorate.so"
install -m 644 "$work/libquorate.a" "$root/lib/libquorate.a"
install -m 644 "$work/quorate.pc" "$work/quorate-static.pc" "$root/lib/pkgconfig"
