# `make demo` shows the main job on a real cluster; `make test` runs every test.
# Both do all their own set-up. `make check` is the quick one and needs no root.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := operator tests testbed benchmarks examples image observability
FAST_TESTS := tests/unit tests/properties tests/walk tests/simulated tests/e2e/selftest
K ?=
N ?= 200

help: ## What there is to make
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): requirements-dev.lock pyproject.toml
	@echo "==> virtual environment ($(VENV)): installing the locked dependencies (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Canarium needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "python3 cannot make virtual environments here: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

venv: $(STAMP) ## The virtual environment with the locked dependencies

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --quiet --fix $(CODE) || true
	@$(BIN)/ruff format $(CODE)

lint: $(STAMP) ## Format and lint, types, layers, generated files
	@$(BIN)/ruff format --check --quiet $(CODE)
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/mypy operator/canarium tests testbed benchmarks observability
	@$(BIN)/lint-imports --no-logo | tail -n 2
	@$(BIN)/canarium crds --check crds
	@$(BIN)/canarium operator metrics --check docs/reference/metrics.md
	@$(BIN)/python -m observability --check
	@$(BIN)/python -m testbed.addons.chart_rules --check

check: lint ## The quick one, no root: lint, types, layers, unit and property tests
	@$(BIN)/pytest -q -n 2 $(FAST_TESTS)

test: $(STAMP) ## Every test, on real clusters (root, or kind)
	@$(BIN)/python -m tests.tiers

mutants: $(STAMP) ## Plant wrong versions of the operator: the tests named in docs/contributing/mutants.md catch them
	@$(BIN)/python -m tests.mutants

demo: $(STAMP) ## A version promoted and a bad one taken back, live (KEEP=1 keeps the cluster)
	@$(BIN)/python -m testbed.demo $(if $(KEEP),--keep)

cluster-up: $(STAMP) ## Bring up a local cluster with a gateway, and keep it
	@$(BIN)/python -m testbed.cluster up --gateway

cluster-down: $(STAMP) ## Take it down
	@$(BIN)/python -m testbed.cluster down

e2e: $(STAMP) ## End-to-end tests; K=expression picks some
	@$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder tests/e2e $(if $(K),-k "$(K)")

e2e-argocd: $(STAMP) ## Argo CD itself, and an upgrade by it (builds for minutes; needs redis)
	@CANARIUM_ARGO_CD=1 $(BIN)/pytest -q tests/e2e/test_argo_cd.py

fuzz: $(STAMP) ## Any objects that an apiserver takes, beside a healthy one (OBJECTS=20000: some 30 minutes)
	@FUZZ_SEED=$(or $(SEED),$$(date +%s)) FUZZ_OBJECTS=$(or $(OBJECTS),20000) $(BIN)/pytest -q -s tests/fuzz

image: $(STAMP) ## The operator's image as an archive, without an engine (root on Debian, or docker)
	@$(BIN)/python -m testbed.images operator

.PHONY: base-digest release-check
base-digest: $(STAMP) ## Write the digest that the image's base has now into the Dockerfile (asks its registry)
	@$(BIN)/python image/base.py update

release-check: $(STAMP) ## Whether the image's base is named by its digest, as a release needs it
	@$(BIN)/python image/base.py check

sbom: $(STAMP) ## What is in the operator's image: its bill of materials (CycloneDX), on standard output
	@$(BIN)/python -m testbed.images.bill

chart: $(STAMP) ## Write anew what is generated from the chart: deploy/operator.yaml, golden renders
	@$(BIN)/canarium crds --output crds
	@$(BIN)/python -m testbed.addons.chart_rules
	@$(BIN)/python -m testbed.addons.chart_files

bench: $(STAMP) ## N rollouts side by side against the targets (N=200)
	@$(BIN)/python -m benchmarks.rollouts --objects $(N)

bench-judge: $(STAMP) ## How often the judge is wrong, and how soon it is right: 20,000 rollouts (minutes)
	@$(BIN)/python -m benchmarks.judge $(if $(WRITE),--write docs/analysis.md)

bench-judging: $(STAMP) ## What judging 200 objects a second costs (minutes)
	@$(BIN)/python -m benchmarks.judging

.PHONY: bench-hostile
bench-hostile: $(STAMP) ## Measuring beside everything hostile, ten minutes of each
	@MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072 $(BIN)/python -m tests.measured.attacked --seconds 600

bench-use: $(STAMP) ## What measuring the use of N objects costs (N=200)
	@$(BIN)/python -m benchmarks.use --objects $(N)

bench-takeback: $(STAMP) ## Seconds from a bad version's first 500 to its last, ten times, on the node
	@$(BIN)/python -m testbed.scenario.repeat rollback --times 10 --limit 6

bench-reaction: $(STAMP) ## How soon a rollback begins beside N other rollouts (N=1000)
	@$(BIN)/python -m tests.crash.reaction --objects $(if $(filter file,$(origin N)),1000,$(N))

bench-scaling: $(STAMP) ## Load from 1 to 60 requests a second and back on the node; WRITE=1 draws it
	@$(BIN)/python -m benchmarks.scaling follow $(if $(WRITE),--write)

crash: $(STAMP) ## SIGKILL at every write, and an apiserver that errs
	@$(BIN)/pytest -q -n 2 --dist loadfile -s tests/crash

.PHONY: formats-newest
formats-newest: $(STAMP) ## What is written for others, against the newest release of their definitions
	@CANARIUM_FORMATS=newest $(BIN)/pytest tests/cluster/test_route_definitions.py tests/cluster/test_scaler_definitions.py tests/cluster/test_chart.py -k "not operator_may_read"

record: $(STAMP) ## Record anew what docs/gitops is tested on (tests/golden/gitops)
	@$(BIN)/python -m testbed.scenario.record

record-referees: $(STAMP) ## Ask others' readers anew what they make of tests/unit/referees
	@$(BIN)/python -m tests.unit.referees.record

lock: $(STAMP) ## Resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml --extra stats -o requirements-stats.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --group image -o requirements-image.lock

.PHONY: fuzz e2e-argocd image sbom chart help venv format lint check test mutants crash demo cluster-up cluster-down e2e bench bench-judge bench-judging bench-use bench-takeback bench-reaction bench-scaling record record-referees lock
