# The bindings: their tests. Included by the Makefile.

.PHONY: bindings-prefix go-test

# The library installed as a user has it, for the tests of the bindings.
BINDINGS_PREFIX := $(CURDIR)/target/prefix

bindings-prefix:
	@scripts/install-deps.sh install
	cargo build --release --lib
	cargo build --bin quorate
	PREFIX='$(BINDINGS_PREFIX)' DESTDIR= sh scripts/install.sh

go-test: bindings-prefix
	@scripts/install-deps.sh go
	cd bindings/go && PKG_CONFIG_PATH='$(BINDINGS_PREFIX)/lib/pkgconfig' LD_LIBRARY_PATH='$(BINDINGS_PREFIX)/lib' \
		sh test.sh
