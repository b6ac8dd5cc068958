# Plain `make` tells what there is. Everything runs with Go and git alone, but `check`, whose race
# tests need a C compiler, and `e2e`, which needs python3-venv and npm for the clients and peers.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help

# How long each target of `make fuzz` runs.
FUZZTIME ?= 60s
# Which benchmarks `make bench` runs, and how often each.
BENCH ?= .
COUNT ?= 1
# More flags for go test, as in: make test TEST='-run Deactivate -v'
TEST ?=

TOOL := go tool -modfile=tools/go.mod
# Files that are in the repository, or would be.
GO_FILES = git ls-files -co --exclude-standard -- '*.go'
# Test modules that have dependencies of their own.
TEST_MODULES := $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))

# These run in a shell that has a PostgreSQL of its own, whose URL is in LETHE_TEST_POSTGRES.
test e2e check-race fuzz bench: private SHELL := test/postgres
test e2e check-race fuzz bench: private .SHELLFLAGS := bash -euo pipefail -c

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build bin/lethe, one static binary
	@CGO_ENABLED=0 go build -trimpath -o bin/lethe ./cmd/lethe

# mautrix, one of the oracles, builds with an experiment of Go's.
.PHONY: test
test: ## Run all Go and command-line tests, on SQLite and PostgreSQL
	@go test $(TEST) ./...
	for module in $(TEST_MODULES); do
		echo "== $$module"
		experiment=
		if [ "$$module" = test/oracle ]; then experiment=jsonv2; fi
		GOEXPERIMENT=$$experiment go -C "$$module" test $(TEST) ./...
	done

.PHONY: e2e
e2e: ## Run the tests with real clients and peers, from PyPI and npm, and with a browser
	@test/e2e/run
	test/web/run

.PHONY: check
check: check-format check-vet check-lint check-vulnerabilities check-layout check-race ## Check format, lint, layout, vulnerabilities and races

.PHONY: check-format
check-format:
	@echo '== format'
	unformatted=$$($(GO_FILES) | xargs $(TOOL) gofumpt -l)
	if [ -n "$$unformatted" ]; then
		printf 'Not formatted (make fmt does it):\n%s\n' "$$unformatted"
		exit 1
	fi

# Also with the tags of the crash tests, which swap files, and of the end-to-end tests.
.PHONY: check-vet
check-vet:
	@echo '== vet'
	go vet ./...
	go vet -tags crashpoints,e2e ./...

.PHONY: check-lint
check-lint:
	@echo '== lint'
	$(TOOL) golangci-lint run

# Exit status 3 is a finding; where the database cannot be reached there is another, and a message.
.PHONY: check-vulnerabilities
check-vulnerabilities:
	@echo '== vulnerabilities'
	status=0
	out=$$($(TOOL) govulncheck ./... 2>&1) || status=$$?
	printf '%s\n' "$$out"
	if [ "$$status" != 0 ] && [ "$$status" != 3 ] && grep -q 'fetching vulnerabilities' <<<"$$out"; then
		echo 'NOT CHECKED: the database of vulnerabilities cannot be reached from here.'
		status=0
	fi
	exit "$$status"

.PHONY: check-layout
check-layout:
	@echo '== layout'
	go test ./test

# A package has concurrency if it, or its tests, lock something, or use a database or a server. The
# rest is values and arithmetic.
CONCURRENT := sync|sync/atomic|golang\.org/x/(sync|time)/[a-z]+|net/http/httptest|lethe/internal/(hstest|storage/storagetest)

.PHONY: check-race
check-race:
	@echo '== races'
	command -v "$$(go env CC)" >/dev/null || { echo 'The race detector needs a C compiler: install gcc and libc6-dev.'; exit 1; }
	packages=$$(go list -f '{{.ImportPath}} {{join .Imports " "}} {{join .TestImports " "}} {{join .XTestImports " "}} ' ./... |
		grep -E ' ($(CONCURRENT)) ' | cut -d' ' -f1)
	CGO_ENABLED=1 go test -race $(TEST) $$packages

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (60s)
	@git ls-files -co --exclude-standard -- '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' |
		while IFS=: read -r file func; do
			target=$${func#func }
			echo "== $$target in $$(dirname "$$file")"
			go -C "$$(dirname "$$file")" test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=1x .
		done

.PHONY: bench
bench: ## Run the benchmarks (BENCH, COUNT), and keep the figures in .cache/bench.txt
	@mkdir -p .cache
	packages=$$(git ls-files -co --exclude-standard -- '*_test.go' | xargs grep -lE '^func Benchmark' |
		xargs -n1 dirname | sort -u | sed 's,^,./,')
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) $$packages | tee .cache/bench.txt
	echo 'To compare with figures from before: $(TOOL) benchstat OLD .cache/bench.txt'

.PHONY: fmt
fmt: ## Format the Go code
	@$(GO_FILES) | xargs $(TOOL) gofumpt -w
