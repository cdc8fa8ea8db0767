# Pilotage: `make demo` and `make test` do all their own set-up on a fresh machine.
SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(PATH):$(CURDIR)/.tools/root/usr/bin
.DEFAULT_GOAL := help
# Where bytecode files are forbidden, each of the thousands of processes that tests start compiles all it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup-demo ## Back up three hosts for real, with kill -9 in the middle (KEEP=1 leaves it up)
	@python -m tests.demo $(if $(filter-out 0 no false,$(KEEP)),--keep)

.PHONY: test
test: setup-test lint ## Lint, types, import rules and every test
	pytest -n auto --dist loadfile --no-loadscope-reorder --ignore tests/simulation
	pytest tests/simulation

.PHONY: quick
quick: setup ## The tests that need no process, network or program
	pytest tests/unit tests/simulation tests/contract

.PHONY: lint
lint: setup ## Style, types and import rules
	ruff check
	ruff format --check
	mypy
	lint-imports

.PHONY: bench
bench: setup-demo ## Measure throughput, latency and memory against bare ceilings, and print a report
	@python -m tests.benchmarks $(BENCH)

.PHONY: bare
bare: ## Prove on a bare Debian 12 that the demo and the tests need nothing else (as root, with debootstrap)
	@tools/bare

.PHONY: dist
dist: setup ## Build the wheels that machines install, into dist/
	@.tools/uv/bin/uv build --all-packages --wheel --out-dir dist

.PHONY: proto
proto: setup ## Generate the wire code from proto/
	python -m grpc_tools.protoc -I proto --python_out=proto --pyi_out=proto --grpc_python_out=proto proto/pilotage_proto/v1/fleet.proto

.PHONY: format
format: setup ## Format the code
	ruff check --fix
	ruff format

.PHONY: setup
setup: ## Build the locked environment in .venv
	@tools/setup python

.PHONY: setup-demo
setup-demo: setup
	@tools/setup programs restic

.PHONY: setup-test
setup-test: setup
	@tools/setup programs restic spin gcc libc6-dev
	@tools/setup daemons docker.io docker-registry iptables busybox-static iproute2 debootstrap curl postgresql mariadb-server-core mariadb-client openssh-server age btrfs-progs xfsprogs systemd
	@tools/setup newer restic-rest-server docker-compose
	@tools/setup node @modelcontextprotocol/inspector@2.12.0 @modelcontextprotocol/conformance@0.2.0-alpha.12
