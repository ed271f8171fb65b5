# Three commands: make demo, make test, make bench. Everything they need they fetch themselves;
# caches live outside of the checkout.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shipkeeper
UV_VERSION := 0.13.9
UV := $(CACHE)/uv-$(UV_VERSION)/bin/uv
PYTHON := $(or $(shell command -v python3.11 || command -v python3),python3)
RUN := .venv/bin

# The console's pages are built where Node.js is there and new enough for vite; all else works without.
NODE_FITS := const [a, b] = process.versions.node.split("."); process.exit(+a > 20 || (+a == 20 && +b >= 19) ? 0 : 1)
NPM := $(shell node -e '$(NODE_FITS)' 2>/dev/null && command -v npm)
PAGES := frontend/node_modules/.built
PAGE_SOURCES := $(shell find frontend -not -path '*/node_modules*' -type f)

.PHONY: demo test .types .tests bench fix lock console chart clean

demo: .venv/.ready
	$(RUN)/shipkeeper demo

test: .venv/.ready
	$(RUN)/ruff format --check
	$(RUN)/ruff check
	$(RUN)/lint-imports
	$(MAKE) --no-print-directory --jobs=2 .types .tests

# Side by side: types are one processor's work, and the tests begin with hosts that take a while.
.types:
	$(RUN)/pyright
	touch .venv/.typed

.tests:
	$(RUN)/python -m pytest

bench: .venv/.ready
	$(RUN)/python bench

fix: .venv/.ready
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

# requirements.lock pins every package by version and hash.
lock: $(UV)
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --extra traces --group dev \
		--output-file requirements.lock pyproject.toml

$(UV):
	$(PYTHON) -m venv $(CACHE)/uv-$(UV_VERSION)
	$(CACHE)/uv-$(UV_VERSION)/bin/pip install --quiet uv==$(UV_VERSION)

.venv/.ready: requirements.lock pyproject.toml $(UV) $(if $(NPM),$(PAGES))
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	$(UV) pip install --quiet --no-deps --editable .
	touch $@

console: $(PAGES)

$(PAGES): $(PAGE_SOURCES)
	$(if $(NPM),,$(error the console needs Node.js 20.19 or newer with npm))
	cd frontend && $(NPM) ci --silent --no-audit --no-fund --cache $(CACHE)/npm && $(NPM) run --silent build
	touch $@

# The chart's generated templates, out of what the operator reads and may do.
chart: .venv/.ready
	$(RUN)/python tools/chart.py

clean:
	rm -rf .venv frontend/node_modules src/shipkeeper/web/static
