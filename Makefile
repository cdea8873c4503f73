# Onda's commands: `make help` lists them. Prerequisites: Go, a C compiler and Node's npm; all else is fetched into .local.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory

include deploy/local/versions.env

LOCAL := $(CURDIR)/.local
TOOLS := $(LOCAL)/tools/bin
SETUP := deploy/local/setup.sh
LIBRARY := libonnxruntime.$(if $(filter Darwin,$(shell uname -s)),dylib,so)

# What to test: `make unit PACKAGES=./app/wire/...`.
PACKAGES ?= ./app/...
# More arguments for go test: `make e2e ARGS='-run TestPortal -v'`.
ARGS ?=
# How long each fuzz target runs.
FUZZTIME ?= 20s

# What `make bench` measures; QUICK=1 shows in minutes that it works, and measures nothing.
PARTS ?= raw batching overload dapr events lanes peers preprocess swap models
QUICK ?=

# What `make capacity` does.
SEARCH ?=

# What `make chaos` runs on.
BROKER ?=

# What `make image` builds, if it is said at all.
TARGET ?= onda
export TARGET

# The race detector slows everything down and finds what nothing else does. A test that hangs is ended with its stacks.
GO_TEST := $(TOOLS)/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- -timeout 15m

# Tests that run programs are run anew each time: Go would remember their results, and does not see that a program changed.
ANEW := -count=1

# Where the tests find what the set-up fetched.
TESTS := test unit race e2e fuzz conformance clients brokers
$(TESTS): export ONDA_ONNXRUNTIME_LIBRARY := $(LOCAL)/onnxruntime/$(ONNXRUNTIME_VERSION)/$(LIBRARY)
$(TESTS): export ONDA_TEST_PYTHON := $(LOCAL)/venv/clients/bin/python
$(TESTS): export ONDA_TEST_DAPR := $(TOOLS)/dapr
$(TESTS): export ONDA_TEST_DAPRD := $(LOCAL)/dapr/$(DAPR_VERSION)/.dapr/bin/daprd
$(TESTS): export ONDA_TEST_SENTRY := $(LOCAL)/dapr/$(DAPR_VERSION)/.dapr/bin/sentry
$(TESTS): export ONDA_TEST_AZURITE := $(LOCAL)/azurite/$(AZURITE_VERSION)/node_modules/.bin/azurite-blob

##@ Run

.PHONY: help
help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## Fetch and build what `make run` needs, without running anything
	@$(SETUP) run

.PHONY: build
build: ## Build onda and portal into .local/bin
	@$(SETUP) app

.PHONY: run
run: ## Run Onda and its portal behind Dapr sidecars (ports: make run ONDA_PORT=8081 ...)
	@deploy/local/run.sh

.PHONY: stop
stop: ## Stop what `make run` started in another terminal
	@deploy/local/stop.sh

##@ Test

.PHONY: test
test: ## Run every test: unit and end to end, with the race detector
	@$(SETUP) test clients app monitoring
	@# What the race detector makes too slow, or measures wrongly, runs without it as well.
	$(GO_TEST) $(ANEW) ./app/cache ./app/engine ./tests/simulation
	$(GO_TEST) -race $(ANEW) $(ARGS) ./...

.PHONY: unit
unit: ## Run the unit tests without the race detector, for a quick answer (PACKAGES=, ARGS=)
	@$(SETUP) test
	$(GO_TEST) $(ARGS) $(PACKAGES)

.PHONY: race
race: ## Run the unit tests with the race detector (PACKAGES=, ARGS=)
	@$(SETUP) test
	$(GO_TEST) -race $(ARGS) $(PACKAGES)

.PHONY: e2e
e2e: ## Run the end-to-end tests against a real Dapr sidecar (ARGS=)
	@$(SETUP) test clients app monitoring
	$(GO_TEST) $(ANEW) $(ARGS) ./tests/...

.PHONY: conformance
conformance: ## Run ONNX's backend test models through the wire and write tests/conformance/REPORT.md (ARGS=)
	@$(SETUP) test
	$(GO_TEST) $(ANEW) ./tests/conformance/... -update $(ARGS)
	@sed -n '/^| outcome/,/^## /{/^## /!p}' tests/conformance/REPORT.md

.PHONY: clients
clients: ## Run the clients of Triton and KServe from PyPI against Onda, directly and through Dapr (ARGS=)
	@$(SETUP) test clients
	$(GO_TEST) $(ANEW) $(ARGS) ./tests/clients/...

.PHONY: cluster
cluster: export ONDA_TEST_CLUSTER_BIN := $(LOCAL)/cluster/bin
cluster: ## Install the chart through a real Kubernetes API server, with Dapr's injector; the first time it builds them (ARGS=)
	@$(SETUP) test cluster
	$(GO_TEST) $(ANEW) $(ARGS) ./tests/cluster

.PHONY: brokers
brokers: ## Run the suite of events on a real Kafka and a real RabbitMQ; needs java and rabbitmq-server (ARGS=)
	@$(SETUP) test brokers
	ONDA_TEST_BROKERS=1 $(GO_TEST) $(ANEW) -run '^Test(Kafka|RabbitMQ)' $(ARGS) ./tests/e2e

.PHONY: fuzz
fuzz: ## Run each fuzz target for a while (FUZZTIME=20s)
	@$(SETUP) test
	@deploy/local/fuzz.sh $(FUZZTIME)

.PHONY: chaos
chaos: ## Try to lose events: kill Onda, its sidecar and the broker at random (BROKER=redis, kafka or rabbitmq; EVENTS=100000 KILLS=20 ONLY=onda); needs the broker
	@$(SETUP) run $(if $(filter kafka rabbitmq,$(BROKER)),brokers)
	go build -o $(LOCAL)/bin/onda ./app/cmd/onda
	go run ./tests/chaos/cmd/chaos $(if $(BROKER),-broker $(BROKER)) -events $(or $(EVENTS),100000) -kills $(or $(KILLS),20) $(if $(ONLY),-only $(ONLY))

##@ Ship

.PHONY: image
image: ## Build a container image with docker, podman or buildah, and list what is in it (TARGET=onda, onda-without-models or onda-cuda; VERSION=, IMAGE=)
	@deploy/container/build.sh

.PHONY: image-check
image-check: ## Build the images on stand-ins of their bases, start them with runc and score in them; as root, on Debian (ONDA_CONTAINER_DIR=, ONDA_CONTAINER_LIST=1, ONDA_CONTAINER_CUDA=1)
	@deploy/container/test.sh

##@ Azure

.PHONY: azure-up
azure-up: ## Make or change the infrastructure on Azure (YES=1, PLAN_ONLY=1)
	@deploy/azure/up.sh

.PHONY: deploy
deploy: ## Build the image and install the chart on AKS (YES=1, PROFILE=gpu, EVENTS=1)
	@deploy/azure/deploy.sh

.PHONY: azure-status
azure-status: ## Show how Onda stands on Azure
	@deploy/azure/status.sh

.PHONY: azure-down
azure-down: ## Remove the infrastructure on Azure, after asking
	@deploy/azure/down.sh

.PHONY: azure-validate
azure-validate: ## Check the infrastructure without Azure; the first time it builds the provider, for half an hour
	@$(SETUP) azure
	@deploy/azure/check.sh

##@ Measure

.PHONY: bench
bench: ## Measure, and write tests/bench/RESULTS.md: 50 minutes (PARTS="raw batching overload dapr events lanes peers preprocess swap models" QUICK=1)
	@$(SETUP) bench
	go build -o $(LOCAL)/bench/bench ./tests/bench/cmd/bench
	$(LOCAL)/bench/bench run -parts "$(PARTS)" $(if $(QUICK),-quick)

.PHONY: capacity
capacity: ## Write deploy/capacity/PLAN.md anew, from what was measured (SEARCH=1 chooses the scaling settings anew, too)
	$(if $(SEARCH),go run ./deploy/capacity/cmd/capacity search)
	go run ./deploy/capacity/cmd/capacity plan

##@ Check

.PHONY: lint
lint: ## Check code, shell scripts and go.mod
	@$(SETUP) lint
	$(TOOLS)/golangci-lint run
	go mod tidy -diff
	@deploy/local/lint-scripts.sh

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what the code calls
	@$(SETUP) vuln
	@deploy/local/vuln.sh

.PHONY: fmt
fmt: ## Format the code
	@$(SETUP) lint
	$(TOOLS)/golangci-lint fmt

.PHONY: generate
generate: ## Make the generated files again
	go generate ./...

.PHONY: generate-check
generate-check: ## Fail where a generated file is not what its source makes
	@deploy/local/generate-check.sh

.PHONY: models
models: ## Make the models again (needs Python)
	@deploy/local/models.sh

##@ Clean

.PHONY: clean
clean: ## Remove what was built here and all logs; what was fetched stays
	rm -rf .local/bin .local/log .local/run .local/tmp .local/dapr.yaml .dapr

.PHONY: distclean
distclean: clean ## Remove everything that the set-up fetched and built, and the local state
	rm -rf .local
