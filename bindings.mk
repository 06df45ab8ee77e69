# The bindings for other languages: their tests and packages. Included by the Makefile.

# What the Python binding is tested with, installed by scripts/install-deps.sh.
PYTHON := target/python-venv/bin/python

.PHONY: python-test python-test-on python-suite python-bench wheel

# Against real servers: the tests, the types, the wheel in a clean environment, and SQLAlchemy's suite.
python-test:
	@scripts/install-deps.sh python
	cargo build --lib --bin quorate
	cargo build --example standin
	$(PYTHON) bindings/python/tools/declare.py --check
	cd bindings/python && ../../$(PYTHON) -m mypy
	$(MAKE) --no-print-directory wheel
	cd bindings/python && ../../$(PYTHON) -m pytest -q
	$(MAKE) --no-print-directory python-suite

# The tests with another Python: make python-test-on INTERPRETER=python3.9. A wheel has to be there for its own tests.
python-test-on:
	@scripts/install-deps.sh python
	cargo build --lib --bin quorate
	cargo build --example standin
	$(INTERPRETER) -m venv --clear target/python-venv-on
	target/python-venv-on/bin/pip install --quiet --disable-pip-version-check --requirement bindings/python/requirements.txt
	target/python-venv-on/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--editable bindings/python
	cd bindings/python && ../../target/python-venv-on/bin/python -m pytest -q

python-suite:
	@scripts/install-deps.sh python
	cargo build --lib --bin quorate
	$(PYTHON) bindings/python/tests/sqlalchemy_suite/run.py

python-bench:
	@scripts/install-deps.sh python
	cargo build --release --lib --bin quorate
	QUORATE_LIBRARY=$(CURDIR)/target/release/libquorate.so QUORATE_PROGRAM=$(CURDIR)/target/release/quorate $(PYTHON) bindings/python/bench/arrow.py
	QUORATE_LIBRARY=$(CURDIR)/target/release/libquorate.so QUORATE_PROGRAM=$(CURDIR)/target/release/quorate $(PYTHON) bindings/python/bench/calls.py

wheel:
	@scripts/install-deps.sh python
	PYTHON=$(PYTHON) sh bindings/python/tools/wheel.sh

.PHONY: bindings-prefix go-test

# The library installed as a user has it, for the tests of the bindings.
BINDINGS_PREFIX := $(CURDIR)/target/prefix

bindings-prefix:
	@scripts/install-deps.sh install
	cargo build --release --lib
	cargo build --bin quorate
	cargo build --example standin
	PREFIX='$(BINDINGS_PREFIX)' DESTDIR= sh scripts/install.sh

go-test: bindings-prefix
	@scripts/install-deps.sh go
	cd bindings/go && PKG_CONFIG_PATH='$(BINDINGS_PREFIX)/lib/pkgconfig' LD_LIBRARY_PATH='$(BINDINGS_PREFIX)/lib' \
		sh test.sh
