# `make` alone prints what there is.

export PATH := $(CURDIR)/.tools/bin:$(PATH)

HOME_OF_TESTS := .counterfoil/test
# Where the chassis's tests leave random requests, for protovalidate's own implementation to judge in tests/peers.
SPECIMENS := $(CURDIR)/.counterfoil/rules

.DEFAULT_GOAL := help
.PHONY: help demo up test fuzz bench bench-rpc bench-year check fmt clippy doc deny buf-lint breaking checks tools

help: ## Prints this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Plays the story from signup to a cancelled subscription (BREAK=<hop> spoils one hop)
	cargo run --locked -p counterfoil-dev -- demo $(if $(BREAK),--break $(BREAK))

up: ## Keeps the suite running and prints its addresses
	cargo run --locked -p counterfoil-dev -- up

# cargo-insta runs nextest for us, as it alone knows afterwards which snapshots nobody asked for.
test: tools ## Runs every test beside a private PostgreSQL (or DATABASE_URL's)
	cargo build --locked --workspace --bins
	COUNTERFOIL_RULES_SPECIMENS=$(SPECIMENS) target/debug/counterfoil-dev postgres --home $(HOME_OF_TESTS) -- \
		cargo insta test --workspace --test-runner nextest --disable-nextest-doctest --check --unreferenced=reject
	cargo test --locked --workspace --doc --quiet
	COUNTERFOIL_RULES_SPECIMENS=$(SPECIMENS) target/debug/counterfoil-dev postgres --home $(HOME_OF_TESTS) -- tests/peers/run.sh

# Random values against plain readings of them; `make test` draws a tenth.
fuzz: ## A million signature headers and a million bodies of events, in release (SEED=<n> takes others)
	CASES=1000000 cargo test --locked --release -p counterfoil-stripe --test it -- --nocapture signatures::
	CASES=1000000 cargo test --locked --release -p counterfoil-webhook-gateway --lib -- --nocapture envelope::tests::cases::

bench: ## Weighs the house, in release: binary sizes, memory, restart times, the story (see docs/benchmarks.md)
	cargo build --locked --release --workspace --bins
	cargo build --locked -p counterfoil-dev
	target/debug/counterfoil-dev postgres --home $(HOME_OF_TESTS) -- \
		cargo bench --locked -p counterfoil-journeys --bench house

bench-rpc: ## Calls through the whole chassis beside bare tonic, in release: rates, CPU a call (see docs/benchmarks.md)
	cargo build --locked -p counterfoil-dev
	target/debug/counterfoil-dev postgres --home $(HOME_OF_TESTS) -- \
		cargo bench --locked -p counterfoil-bench --bench rpc

bench-year: ## A year of 10,000 subscriptions in the sandbox, twice: time, memory, the same world (see docs/benchmarks.md)
	cargo bench --locked -p stripe-sandbox --bench year

check: fmt clippy doc deny buf-lint breaking checks ## Runs every check that needs no database

fmt: ## Fails where rustfmt would change something
	cargo fmt --all --check

clippy: ## Lints everything, warnings denied
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc: ## Builds the documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

deny: tools ## Holds the walls between crates, the licences and the sources (offline)
	cargo fetch --locked --quiet
	cargo deny --offline check --allow unused-wrapper --hide-inclusion-graph bans licenses sources
	tools/checks/walls

buf-lint: tools ## Lints and formats the protos
	buf lint
	buf format --diff --exit-code

breaking: tools ## Fails when proto/ breaks against the last release, or until then the first parent
	tools/checks/breaking

checks: ## Stripe's mode in one module; no overlong file; the sandbox's operations as Stripe describes them
	tools/checks/one-mode-module
	tools/checks/file-length
	tools/checks/sandbox-operations

tools: ## Installs the prebuilt tools into .tools/
	@tools/checks/install-tools
