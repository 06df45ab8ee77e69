# Each target first installs what it needs and does not find (scripts/install-deps.sh), and says so.

# Where rustup puts cargo, for shells that do not know it.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# How long each fuzz target runs, in seconds.
FUZZ_SECONDS ?= 60

.PHONY: help demo test check bench fuzz install-deps

help:
	@echo "make demo          a cluster loses its leader; every write is accounted for"
	@echo "make test          everything: check, and all tests with real servers"
	@echo "make check         formatting, lints, documentation, the oldest Rust"
	@echo "make bench         what the driver costs, beside a raw socket loop and beside libpq"
	@echo "make fuzz          each fuzz target for FUZZ_SECONDS (60 unless set), with a nightly Rust"
	@echo "make header        write include/quorate.h and include/symbols.txt anew"
	@echo "make install       header, libraries and quorate.pc under \$$(DESTDIR)\$$(PREFIX), /usr/local unless set"
	@echo "make uninstall     remove what install has installed"
	@echo "make ffi-test      the C programs: plainly, under the sanitizers, under valgrind"
	@echo "make ffi-bench     what the C interface costs, beside the Rust one"
	@echo "make python-test   the Python package: its tests, SQLAlchemy's suite, the wheel in a clean environment"
	@echo "make python-test-on INTERPRETER=python3.9    its tests with another Python"
	@echo "make python-bench  a million rows into pandas, beside sqlite3"
	@echo "make wheel         the Python package with the library inside, into target/wheels"
	@echo "make go-test       the Go packages, with the race detector, against real servers"
	@echo "make install-deps  what the targets above need"

demo:
	@scripts/install-deps.sh demo
	@cargo run --bin quorate -- demo

test: install-deps check
	cargo test --all-features
	$(MAKE) --no-print-directory ffi-test
	$(MAKE) --no-print-directory python-test
	$(MAKE) --no-print-directory go-test

check:
	@scripts/install-deps.sh check
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib --all-features
	scripts/check-oldest.sh

bench:
	@scripts/install-deps.sh bench
	cargo bench --bench dqlite
	cargo bench --bench postgres
	cargo bench --bench topology

fuzz:
	@scripts/install-deps.sh fuzz
	for target in $$(cargo fuzz list); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +nightly fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

install-deps:
	@scripts/install-deps.sh all

include ffi.mk
include bindings.mk
