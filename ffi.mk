# The C ABI: its header, its installation, its tests. Included by the Makefile.

PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: header install uninstall ffi-test ffi-bench

header: ## Write include/quorate.h and include/symbols.txt anew
	QUORATE_UPDATE_HEADER=1 cargo test --quiet --test header

install: ## Install header, libraries and quorate.pc under $(DESTDIR)$(PREFIX)
	cargo build --release --lib
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh scripts/install.sh

uninstall: ## Remove what install has installed
	PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' sh scripts/uninstall.sh

ffi-test: ## Run the C programs plainly, under the sanitizers and under valgrind
	sh ffi-tests/run.sh

ffi-bench: ## Measure the C ABI beside the Rust API
	sh ffi-tests/bench.sh
