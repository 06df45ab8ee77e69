# The C ABI: its header, its installation, its tests. Included by the Makefile.

PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: header install uninstall ffi-test ffi-bench

header:
	QUORATE_UPDATE_HEADER=1 cargo test --quiet --test header
	python3 bindings/python/tools/declare.py

install:
	@scripts/install-deps.sh install
	cargo build --release --lib
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh scripts/install.sh

uninstall:
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh scripts/uninstall.sh

ffi-test:
	@scripts/install-deps.sh ffi
	sh ffi-tests/run.sh

ffi-bench:
	@scripts/install-deps.sh ffi
	sh ffi-tests/bench.sh
