# The front door: every target has a help line, and `make` alone prints them.
SHELL := /bin/bash
NODE := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install tools up down demo test unit simulation integration e2e bench faults faults-planted verify format generate build

help: ## Print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }'

node_modules/.package-lock.json: package.json package-lock.json
	@echo "installing npm packages, Node among them (about 30 s the first time)"
	@npm ci --no-fund --no-audit --loglevel=error

install: node_modules/.package-lock.json ## Install npm packages, with the Node that the project pins

tools: ## Build etcd, the Kubernetes servers, KWOK and nats-server into a cache (minutes the first time)
	@hack/tools/build.sh >/dev/null

up: install tools ## Start a control plane, KWOK nodes and NATS in the background, under .run/
	@$(NODE) hack/up.ts

down: install ## End exactly what `make up` started
	@$(NODE) hack/down.ts

demo: install tools ## Watch pods appear in the registry, fail, move and go
	@$(NODE) hack/demo.ts

test: install tools ## Run all tests: unit, property, simulation, integration, the short fault campaign
	@$(NODE) hack/test.ts

unit: install ## Run the unit and property tests only
	@vitest run test/unit test/property

simulation: install ## Run the simulation only; SEED=n plays one schedule again, SCHEDULES=n that many
	@vitest run test/simulation$(if $(SEED),/operator.test.ts)

integration: install tools ## Run the tests against a real control plane and NATS only
	@vitest run test/integration

e2e: install ## Run the user stories with real containers (kind, or a kubelet as root on Linux)
	@$(NODE) hack/e2e.ts

bench: install tools ## Measure throughput, latency, first sync and memory; writes .run/bench.json
	@$(NODE) hack/bench.ts

faults: install tools ## Break everything in turn and judge: the fault campaign; CASE=F01 for one, RUNS=3, SHORT=1, CASE=F45 MINUTES=60
	@$(NODE) hack/faults.ts $(if $(CASE),--case $(CASE)) $(if $(RUNS),--runs $(RUNS)) $(if $(SHORT),--short) $(if $(DRAW),--draw) $(if $(MINUTES),--minutes $(MINUTES))

faults-planted: install tools ## Plant bugs one by one and see that the fault campaign catches each; PLANT=no-ttl for one
	@$(NODE) hack/faults-planted.ts $(if $(PLANT),--plant $(PLANT))

verify: install tools ## Types, lint, format, unused code, generated files
	@hack/verify.sh

format: install ## Format and sort imports
	@biome check --write --enforce-assist=true .

generate: install tools ## Write the generated files: CRD, reference, configuration, install.yaml
	@$(NODE) hack/generate.ts
	@$(NODE) hack/generate-config-docs.ts
	@$(NODE) hack/render-manifests.ts

build: install ## Build dist/, the JavaScript that the image runs
	@$(NODE) hack/build.ts
