# What there is to do with this repository: `make help`. Only Go and a shell
# have to be there; what else is needed, e2e/prepare.sh looks after.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# Go keeps the processors busy by itself.
.NOTPARALLEL:

# Where Go's own installer puts it, for shells that were not told.
export PATH := $(PATH):/usr/local/go/bin

# The modules with code to check. e2e/kube is not among them: its one file only
# calls Kubernetes, and vet would go through all of that.
MODULES := . charts/crdgen e2e
# Errors may begin with the kind of an object: a user reads them.
CHECKS := inherit,-ST1005
FUZZTIME ?= 10s

.PHONY: help
help: ## Show this list.
	@sed -n 's/^\([a-z0-9]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

.PHONY: build
build: prepare ## Build bin/berth-controller and bin/berth-speaker.
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/berth-controller ./cmd/berth-speaker

.PHONY: build-race
build-race: prepare-race
	CGO_ENABLED=1 go build -race -o bin/berth-controller.race ./cmd/berth-controller
	CGO_ENABLED=1 go build -race -o bin/berth-speaker.race ./cmd/berth-speaker

.PHONY: kube
kube: prepare ## Build bin/kube: etcd, the Kubernetes control plane, kube-proxy and kubectl.
	@cd e2e && go run ./kubebuild kube ../bin/kube

.PHONY: test
test: announce lint unit e2e ## Run all checks and tests: what CI runs.
	@echo "All checks and tests passed."

.PHONY: announce
announce:
	@echo "Checks (gofmt, vet, staticcheck), unit tests with the race detector, then e2e tests"
	@echo "against a real Kubernetes API server. Each step prints its command."
	@test -f bin/kube.stamp || \
		echo "This first run also compiles Kubernetes and all else: 10 to 15 minutes more on two cores, once."

.PHONY: unit
unit: prepare-race ## Run the unit tests, with the race detector.
	CGO_ENABLED=1 go test -race ./...
	cd charts/crdgen && CGO_ENABLED=1 go test -race ./...

.PHONY: e2e
e2e: prepare-e2e kube build-race ## Run the tests against a real API server, on a real segment.
	cd e2e && CGO_ENABLED=1 go test -race -p 1 -timeout 20m ./...

.PHONY: lint
lint: prepare ## Check formatting, vet, staticcheck, and that what is generated is up to date.
	@echo 'gofmt -l .'; files=$$(gofmt -l .); test -z "$$files" || { \
		echo "not formatted, run gofmt -w on them:"; echo "$$files"; exit 1; }
	cd e2e/lint && go build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@set -e; for module in $(MODULES); do \
		echo "go vet and staticcheck in $$module"; \
		(cd $$module && go vet ./... && $(CURDIR)/bin/staticcheck -checks $(CHECKS) ./...); done
	cd charts/crdgen && go run . -check ../berth/crds

.PHONY: generate
generate: prepare ## Write anew what is generated: the CRDs of the chart.
	cd charts/crdgen && go run . ../berth/crds

.PHONY: fuzz
fuzz: prepare ## Run every fuzz test for FUZZTIME (10s).
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ {names[n++] = $$1} \
		/^ok/ {for (i = 0; i < n; i++) print $$2, names[i]; n = 0}' | \
	while read -r package name; do \
		echo "$$name in $$package"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$package" </dev/null || exit 1; done

.PHONY: bench
bench: build kube ## Measure Berth against a real API server, beside VRRP, FRR and GoBGP.
	@e2e/prepare.sh lab bench frr bird
	cd e2e && go run ./bench

.PHONY: demo
demo: announce-demo build kube ## See Berth at work, a power cut included; KEEP=1 leaves it up, BACKEND=aws is about AWS.
ifneq ($(BACKEND),aws)
	@e2e/prepare.sh lab frr bird
endif
	cd e2e && go run ./demo

.PHONY: announce-demo
announce-demo:
ifeq ($(BACKEND),aws)
	@echo "Builds Berth and a Kubernetes control plane, and starts them beside an AWS account in memory:"
	@echo "Services get Network Load Balancers, and Berth takes over from the AWS Load Balancer Controller."
	@echo "It takes about a minute, and stops all of it then; KEEP=1 leaves it up. No account is needed."
else
	@echo "Builds Berth and a Kubernetes control plane, and starts them on a small network inside this"
	@echo "machine: Services get addresses, clients use them, on the segment and behind a router, and"
	@echo "nodes lose power. It takes less than a minute, and stops all of it then; KEEP=1 leaves it up."
endif
	@test -f bin/kube.stamp || \
		echo "The first time compiles Kubernetes before: 6 to 12 minutes on two cores."

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin

.PHONY: prepare prepare-race prepare-e2e
prepare:
	@e2e/prepare.sh
prepare-race:
	@e2e/prepare.sh race
prepare-e2e:
	@e2e/prepare.sh race lab frr bird
