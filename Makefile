# The targets of this repository. `make` lists them.

SECONDS_OF_FUZZING ?= 10
SOAK_MINUTES ?= 60
# Test files of the whole program that are run at the same time; 0 is one after the other.
WORKERS ?= 0

VENV := target/venv
# As the image has it: see `build`.
VISOR_BIN ?= $(CURDIR)/target/static/visor
# On a very slow machine a test may time out: failed tests are run once more, and listed in the summary.
PYTEST_E2E := $(VENV)/bin/python -m pytest tests/e2e --reruns 1 -rR
PROGRAMS := $(CURDIR)/target/debug
# With the tests of the crates: alone, their dependencies would be built again with other features.
PROGRAMS_BUILD := cargo build --workspace --bins --tests
XTASK ?= $(PROGRAMS)/xtask
export VISOR_BIN XTASK

# Generated files: each file, and the command that prints it, in the order of their dependencies.
GENERATED := crates/visor-api/src/structure/schema.json manifests/crd/visor.dev_fakelogsources.yaml \
	docs/fields.md docs/reference/visor.md docs/reference/visor-operator.md docs/reference/visor-sink.md \
	charts/visor/files/crd.yaml charts/visor/README.md manifests/install.yaml manifests/admission-policy.yaml docs/modules.md
FIELDS := $(XTASK) fields
SCHEMA := $(XTASK) schema
DEFINITION := $(PROGRAMS)/visor-operator crd
crates/visor-api/src/structure/schema.json: COMMAND = $(SCHEMA)
manifests/crd/visor.dev_fakelogsources.yaml: COMMAND = $(DEFINITION)
docs/fields.md: COMMAND = $(FIELDS)
docs/reference/visor.md: COMMAND = $(PROGRAMS)/visor reference
docs/reference/visor-operator.md: COMMAND = $(PROGRAMS)/visor-operator reference
docs/reference/visor-sink.md: COMMAND = $(PROGRAMS)/visor-sink reference
charts/visor/files/crd.yaml: COMMAND = $(DEFINITION)
charts/visor/README.md: COMMAND = $(VENV)/bin/python tests/chart/values_docs
manifests/install.yaml: COMMAND = $(VENV)/bin/python tests/chart/install_manifest
manifests/admission-policy.yaml: COMMAND = $(VENV)/bin/python tests/chart/install_manifest policy
docs/modules.md: COMMAND = $(VENV)/bin/python tests/modules

MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup build test test-rust test-program smoke soak scale e2e images cluster cluster-down lint \
	release-check reproducible sbom generate messages check-generated bench fuzz clean $(GENERATED)

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install what the tests need: Debian packages (as root) and Python packages.
	@tests/setup $(VENV)

build: ## Build the program under test as the Dockerfile does, and the tool that formats lines for the tests.
	python3 tests/support/dockerfile.py
	$(PROGRAMS_BUILD)


test: setup test-rust test-program smoke ## Run the tests: of the crates, of the whole program, some in a cluster.

test-rust: ## Run the tests in the crates: unit tests, property tests, statistical tests.
	cargo test --workspace

test-program: setup build ## Run the tests of the whole program against independent tools (pytest).
	$(VENV)/bin/python -m pytest tests --ignore tests/e2e -n $(WORKERS) --dist loadfile $(PYTEST_OPTIONS)

smoke: setup ## Run a small part of the tests in a real Kubernetes cluster, created for them (Debian 12, as root).
	$(PYTEST_E2E) -m smoke $(PYTEST_OPTIONS)

soak: setup ## Run 50 sources in a cluster, with changes and failures (SOAK_MINUTES).
	VISOR_SOAK_MINUTES=$(SOAK_MINUTES) $(VENV)/bin/python -m pytest -s tests/e2e/test_soak.py $(PYTEST_OPTIONS)

scale: setup ## Apply 2,000 sources to a cluster, and measure the operator.
	VISOR_SCALE_SOURCES=2000 VISOR_SCALE_IDLE_SECONDS=300 \
		$(VENV)/bin/python -m pytest -s tests/e2e/test_scale.py $(PYTEST_OPTIONS)

e2e: setup ## Run all tests in a real Kubernetes cluster, created for them or named by VISOR_E2E_KUBECONFIG.
	$(PYTEST_E2E) $(PYTEST_OPTIONS)

images: ## Build the images for the cluster tests, and print their sizes (target/images).
	@tests/cluster/images target/images

cluster: setup ## Create a Kubernetes cluster with Visor to experiment with (Debian 12, as root).
	@tests/cluster/playground up

cluster-down: ## Remove that cluster.
	@tests/cluster/playground down

lint: ## Check formatting, clippy, rustdoc, and licenses of dependencies.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny check --hide-inclusion-graph licenses bans sources; \
		echo "lint: advisories need a database from the network: run \`cargo deny check advisories\` where there is one"; \
	else \
		echo "lint: licenses not checked: cargo-deny is missing (cargo install --locked cargo-deny)"; \
	fi

release-check: ## Check that crates, chart, images and manifests have the same version (RELEASE, if given).
	@tests/release_check $(RELEASE)

reproducible: ## Build the release binaries twice, and compare them (some minutes).
	tests/reproducible

sbom: ## Write the software bill of materials as CycloneDX (target/sbom).
	@cargo cyclonedx --version >/dev/null 2>&1 || cargo install --locked cargo-cyclonedx
	cargo cyclonedx --format json --spec-version 1.5 --describe binaries --no-build-deps
	@mkdir -p target/sbom
	@mv crates/*/*.cdx.json target/sbom
	@ls target/sbom/*.json

generate: $(GENERATED) ## Write the generated files.

$(GENERATED):
	@mkdir -p $(dir $(OUTPUT_DIR)$@)
	@$(PROGRAMS_BUILD) --quiet
	$(COMMAND) > $(OUTPUT_DIR)$@.new
	@mv $(OUTPUT_DIR)$@.new $(OUTPUT_DIR)$@

messages: ## Print the messages of the programs as one table, to be read next to each other.
	@tests/messages

check-generated: ## Check that the generated files are what the code generates.
	@rm -rf target/generated
	@$(MAKE) generate OUTPUT_DIR=target/generated/
	@for file in $(GENERATED); do \
		diff -u "$$file" "target/generated/$$file" || { echo "$$file is out of date: run \`make generate\`"; exit 1; }; \
	done

bench: ## Run the benchmarks, and write docs/performance.md.
	bench/run --write docs/performance.md

fuzz: ## Fuzz the parsers of documents, formats, deliveries and protocols (SECONDS_OF_FUZZING each).
	tests/fuzz/run $(SECONDS_OF_FUZZING)

clean: ## Remove the build outputs.
	cargo clean
