# `make` alone lists what there is. Every target can be run again at any time.
.DEFAULT_GOAL := help
.PHONY: help setup demo simulate model mutants chaos test gates fmt clippy features docs deny tools bench

# Arguments of the demo: make demo DEMO_ARGS=--help
DEMO_ARGS ?=
# Of the stores, what the demo does not use is not built.
DEMO_FEATURES := $(foreach store,etcd consul,$(if $(findstring $(store)://,$(DEMO_ARGS)),--features $(store)))

# Arguments of the simulator: make simulate SIM_ARGS='--profile strict --for 2h'
SIM_ARGS ?= --profile harsh --for 5m
# Arguments of the model checker: make model MODEL_ARGS=--help
MODEL_ARGS ?= --members 3 --depth 7
# Arguments of the chaos: make chaos CHAOS_ARGS=--help
CHAOS_ARGS ?=
# Arguments of the mutants: make mutants MUTANTS_ARGS=--list
MUTANTS_ARGS ?=
# Arguments of the benchmarks: make bench BENCH_ARGS=--help
BENCH_ARGS ?= failover

# Tools live beside the build, one directory a version: nothing of the user's own is replaced.
TOOLS := $(or $(CARGO_TARGET_DIR),target)/tools
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: ## install what this machine lacks (Debian: as root)
	@.ci/setup

demo: setup ## a failover to watch on this machine; DEMO_ARGS=... is handed on
	cargo run --release --locked -p odoo-ha-examples --bin quickstart --no-default-features $(DEMO_FEATURES) -- $(DEMO_ARGS)

simulate: setup ## made-up worlds with faults by chance, as long as it is told; SIM_ARGS=... is handed on
	cargo run --release --locked -p odoo-ha-tests --no-default-features --bin simulate -- $(SIM_ARGS)

chaos: setup ## faults by chance on a real cluster, as long as it is told (as root); CHAOS_ARGS=... is handed on
	cargo build --release --locked -p odoo-ha-tests --bin chaos --bin ha_agent --bin ha_ctl
	$(or $(CARGO_TARGET_DIR),target)/release/chaos $(CHAOS_ARGS)

test: setup ## every test of every crate with every feature
	cargo test --workspace --all-features --locked

model: ## every order of events of a small cluster within a bound; MODEL_ARGS=... is handed on
	cargo run --release --locked -p odoo-ha-tests --no-default-features --bin model -- $(MODEL_ARGS)

mutants: ## every rule broken on purpose is caught; MUTANTS_ARGS=... is handed on
	cargo run --release --locked -p odoo-ha-tests --no-default-features --bin mutants -- $(MUTANTS_ARGS)

bench: setup ## benchmarks of the stores against their own means; BENCH_ARGS=... is handed on
	cargo run --release --locked -p odoo-ha-tests --bin bench_stores -- $(BENCH_ARGS)

gates: fmt clippy features docs deny ## everything below: what must hold besides the tests

fmt: ## the code is formatted
	cargo fmt --all --check

clippy: ## no warning anywhere, tests and examples included
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

features: ## no warning in core, backends and examples without features and with each one alone
	@.ci/each-feature odoo-ha-core
	@.ci/each-feature odoo-ha-backends
	@.ci/each-feature odoo-ha-examples

docs: ## the documentation builds, every link in it leads somewhere
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked

deny: $(CARGO_DENY) ## licences, banned crates and sources of all dependencies (deny.toml)
	cargo fetch --locked
	$(CARGO_DENY) --offline --locked check --hide-inclusion-graph licenses bans sources

tools: $(CARGO_DENY) ## build the tools that the gates need (cargo-deny: about four minutes, once)

$(CARGO_DENY):
	cargo install cargo-deny --version =$(CARGO_DENY_VERSION) --locked --quiet --root $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION) --target-dir $(TOOLS)/build
	rm -rf $(TOOLS)/build
