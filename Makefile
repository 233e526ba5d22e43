# What a person, CI and a reviewer run: `make test`. What shows the main job: `make demo`.

VERSION ?= $(shell .ci/version)

export HOME ?= /root
export PATH := $(shell HOME=$(HOME) go env GOPATH 2>/dev/null)/bin:$(PATH)
export GOFLAGS := -buildvcs=false
# Builds, tests and judges everything; a Go that is older fetches it once (76 MB).
export GOTOOLCHAIN := $(shell sed -n 's/^toolchain //p' go.mod)

LAYERS := go run ./e2e/cmd/layers

.PHONY: build
build: ## the three binaries, in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/...

.PHONY: test
test: prepare ## every layer of tests, after installing what they need
	$(LAYERS)

.PHONY: lint unit fuzz integration
lint unit fuzz integration: prepare ## one layer of tests
	$(LAYERS) $@

.PHONY: e2e
e2e: prepare ## scenarios on test hosts: make e2e [RUN=regexp]; RUN=Attack: the attacks of docs/security.md
	$(LAYERS) -run '$(value RUN)' e2e

.PHONY: demo
demo: prepare-hosts ## the main job, shown: make demo [KEEP=1]
	go run ./e2e/demo $(if $(KEEP),-keep)

.PHONY: bench-deploy
bench-deploy: prepare-hosts ## how fast a push is deployed, against the manual steps; also in bin/bench-deploy.json
	mkdir -p bin
	go run ./e2e/bench -json bin/bench-deploy.json

.PHONY: bench
bench: prepare ## how long the controller takes to decide (10 ms for 1,000 hosts) and to publish (2 s), on a quiet machine
	go test -run='^$$' -bench=. ./controller/internal/rollout
	go test -run='^$$' -bench='Runner|Publish' ./controller

.PHONY: mutations
mutations: prepare-hosts ## break the code on purpose, and see tests turn red: make mutations [RUN=regexp]
	go run ./e2e/cmd/mutations -run '$(value RUN)'

.PHONY: format
format: prepare ## format every Go file
	golangci-lint fmt

.PHONY: manual
manual: prepare-hosts ## write docs/man and docs/reference anew, when commands, metrics, options or reasons have changed
	go test -count=1 -run='^TestThe(ManualSaysWhatThereIs|ReferenceHasEveryMetric)$$' ./cmd/kedge ./cmd/kedge-agent ./cmd/kedge-controller ./agent ./controller -update
	go test -count=1 -run='^TestTheReferenceHasEveryWord$$' ./docs -update
	go test -count=1 -tags=e2e -run='^TestTheReferenceHasEveryOption$$' ./nixos-module -update

.PHONY: docs-check
docs-check: ## links, command lines, reasons and references of the documentation, and the site
	go test -count=1 ./docs/...
	go test -count=1 -run='^TestThe(ManualSaysWhatThereIs|ReferenceHasEveryMetric)$$' ./cmd/... ./agent ./controller

.PHONY: site
site: ## the documentation as a static site, in bin/site
	go run ./docs/site -out bin/site

DIST_ARCHS := amd64 arm64

.PHONY: dist
dist: ## static programs and their manual for x86_64 and aarch64, in dist/; the same bytes each time
	rm -rf dist
	for arch in $(DIST_ARCHS); do \
		dir=dist/kedge-$(VERSION)-linux-$$arch; \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -ldflags '-s -X main.version=$(VERSION)' -o $$dir/bin/ ./cmd/... && \
		mkdir -p $$dir/share/man $$dir/share/kedge && cp -r docs/man $$dir/share/man/man1 && cp -r docs/alerts docs/dashboards $$dir/share/kedge/ && cp LICENSE README.md $$dir/ && \
		tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@0 -C dist -cf - kedge-$(VERSION)-linux-$$arch | gzip -n > $$dir.tar.gz && rm -r $$dir || exit 1; \
	done
	cd dist && sha256sum *.tar.gz > SHA256SUMS

.PHONY: vendor-hash
vendor-hash: ## write nixos-module/vendor-hash anew, when what the programs import has changed
	go test -count=1 -tags=e2e -run='^TestVendorHash$$' ./nixos-module -update

.PHONY: prepare prepare-hosts
prepare: ## install what tests and linter need
	.ci/prepare compiler linter
prepare-hosts:
	.ci/prepare

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin dist

.PHONY: help
help: ## say what there is
	@sed -n 's/^\([a-z -]*\):.*## /\1: /p' $(MAKEFILE_LIST)
