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
MODULES := . charts/crdgen e2e e2e/prometheus image
# Errors may begin with the kind of an object: a user reads them.
CHECKS := inherit,-ST1005
FUZZTIME ?= 10s

.PHONY: help
help: ## Show this list.
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

.PHONY: build
build: prepare ## Build bin/berth-controller and bin/berth-speaker.
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/berth-controller ./cmd/berth-speaker

.PHONY: build-race
build-race: prepare-race
	CGO_ENABLED=1 go build -race -o bin/berth-controller.race ./cmd/berth-controller
	CGO_ENABLED=1 go build -race -o bin/berth-speaker.race ./cmd/berth-speaker

# ARCHS are the architectures of the image. TAG is its tag: in files to load, that
# which the chart asks for; in a registry, the version, unless TAG says otherwise.
ARCHS ?= amd64,arm64

.PHONY: image
image: prepare ## Make the image, without Docker: bin/berth-image-<arch>.tar to load, and what goes with it.
	cd image && go run . build -archs $(ARCHS) -tag $(or $(TAG),$(shell sed -n 's/^appVersion: //p' charts/berth/Chart.yaml))

.PHONY: image-push
image-push: image ## Push the image to a registry, REPOSITORY=registry.example.com/berth.
	cd image && go run . push -repository $(or $(REPOSITORY),$(error REPOSITORY is empty: say where to push the image)) -tag "$(TAG)"

.PHONY: reproducible
reproducible: prepare ## Make the image of the last commit twice, in two places, and compare.
	cd image && go run . reproducible -archs $(ARCHS)

.PHONY: licenses
licenses: prepare ## Write the licenses of all that is linked in to bin/berth-licenses.txt, and check them.
	cd image && go run . licenses

.PHONY: kube
kube: prepare ## Build bin/kube: etcd, the Kubernetes control plane, kube-proxy and kubectl.
	@cd e2e && go run ./kubebuild kube ../bin/kube

# Compiled anew only when its version or Go changes.
bin/helm: e2e/helm/go.mod e2e/helm/go.sum
	cd e2e/helm && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o ../../bin/helm helm.sh/helm/v4/cmd/helm

.PHONY: helm
helm: prepare bin/helm ## Build bin/helm.

.PHONY: chart
chart: helm ## Package the chart: bin/berth-<version>.tgz.
	bin/helm package charts/berth --destination bin

.PHONY: test
test: announce lint unit e2e ## Run all checks and tests: what CI runs.
	@echo "All checks and tests passed."

.PHONY: announce
announce:
	@echo "Checks (gofmt, vet, staticcheck), unit tests with the race detector, then e2e tests"
	@echo "against a real Kubernetes API server. Each step prints its command."
	@test -f bin/kube.stamp || \
		echo "This first run also compiles Kubernetes and all else: 6 to 12 minutes more on two cores, once."

.PHONY: unit
unit: prepare-race ## Run the unit tests, with the race detector.
	CGO_ENABLED=1 go test -race ./...
	cd charts/crdgen && CGO_ENABLED=1 go test -race ./...
	cd image && CGO_ENABLED=1 go test -race ./...

.PHONY: e2e
e2e: prepare-e2e kube helm build-race ## Run the tests against a real API server, on a real segment.
	cd e2e && CGO_ENABLED=1 go test -race -p 1 -timeout 20m ./...

bin/kind: e2e/kind/go.mod e2e/kind/go.sum
	cd e2e/kind && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o ../../bin/kind sigs.k8s.io/kind

# Docker is looked for first: what follows takes minutes.
.PHONY: e2e-kind
e2e-kind: ARCHS = $(shell go env GOARCH)
e2e-kind: e2e-kind-check prepare helm bin/kind image ## Run the tests of the chart in a cluster made by kind; needs Docker.
	e2e/kind/run.sh

.PHONY: e2e-kind-check
e2e-kind-check:
	@e2e/kind/run.sh check

.PHONY: lint
lint: prepare helm ## Check formatting, vet, staticcheck, the chart, and that what is generated is up to date.
	@echo 'gofmt -l .'; files=$$(gofmt -l .); test -z "$$files" || { \
		echo "not formatted, run gofmt -w on them:"; echo "$$files"; exit 1; }
	cd e2e/lint && go build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@set -e; for module in $(MODULES); do \
		echo "go vet and staticcheck in $$module"; \
		(cd $$module && go vet ./... && $(CURDIR)/bin/staticcheck -checks $(CHECKS) ./...); done
	cd charts/crdgen && go run . -check ../berth/crds
	bin/helm lint --strict charts/berth -f charts/berth/values-bare-metal.yaml
	bin/helm lint --strict charts/berth -f charts/berth/values-eks.yaml --set clusterName=lint
	cd image && go run . licenses

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
bench: build kube helm ## Measure Berth against a real API server, beside VRRP, FRR and GoBGP.
	@e2e/prepare.sh lab bench frr bird
	cd e2e && go run ./bench

.PHONY: demo
demo: announce-demo build kube helm ## See Berth at work, a power cut included; KEEP=1 leaves it up, BACKEND=aws is about AWS.
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
