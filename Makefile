# Copyright The kubectl underlay Authors
# SPDX-License-Identifier: Apache-2.0

# The targets that people need. They are the same ones that CI runs; "make" alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := $(or $(shell git describe --tags --dirty --match 'v*' 2>/dev/null),v0.0.0-$(shell git rev-parse --short HEAD 2>/dev/null))
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null)
DATE    := $(shell git log -1 --format=%cI 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)

# For the CNI, as internal/tools/image links it.
SMALL_PAGES := -X runtime.godebugDefault=disablethp=1

# One way of compiling for everything, the pinned programs included: Go's cache then holds each package once, and what
# kube-apiserver and the plugin have in common is compiled once.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false

# Built once by Go, then found in its cache.
TOOL    := go tool -modfile=internal/tools/go.mod
RELEASE := go tool -modfile=internal/tools/release/go.mod goreleaser

.PHONY: help build image test e2e lint generate demo cluster-up cluster-down bench release-snapshot clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the programs into build/
	go build -ldflags '$(LDFLAGS)' -o build/ ./cmd/...
	go build -ldflags '$(LDFLAGS) $(SMALL_PAGES)' -o build/ ./cmd/underlay

# ARCH="amd64 arm64" builds for both, and an index of the two for registries.
image: ## Build the image of operator and agents into build/image, to be imported anywhere
	@go -C internal/tools/image run . -version '$(VERSION)' -commit '$(COMMIT)' -date '$(DATE)' -arch '$(or $(ARCH),amd64)'

test: ## Run everything that CI runs: generated files, linters, all tests
	@go run ./tests/run

e2e: ## Run the tests on a two-node cluster alone; results go to build/e2e
	@go run ./tests/run -only 'tests on a cluster'

lint: ## Run the linters that .golangci.yml chooses
	$(TOOL) golangci-lint run

# What these write is marked in .gitattributes. Further generators are go:generate lines beside what they read.
generate: ## Bring generated files up to date
	$(TOOL) controller-gen object:headerFile=internal/tools/header.go.txt paths=./api/...
	$(TOOL) controller-gen crd paths=./api/v1alpha1 output:crd:dir=manifests/crds
	go generate ./...

demo: ## Show the whole at work, on a two-node cluster and a simulated EC2; KEEP=1 leaves them to play with
	@go run ./tests/demo $(if $(KEEP),-keep)

cluster-up: ## Start a two-node cluster in virtual machines on a simulated VPC, to play with; needs root
	@go run ./tests/cluster/run up

cluster-down: ## End that cluster
	@go run ./tests/cluster/run down

bench: ## Measure; figures go to build/bench
	@go run ./tests/bench

release-snapshot: ## Build a release's archives into build/release, unpublished
	$(RELEASE) release --snapshot --clean

clean: ## Remove what make wrote
	rm -rf build
