# The commands that people run; README.md says what each does.
# Everything runs on the Node of the lockfile, whatever Node is on the PATH: that one only has to run npm.
ARCH := $(subst aarch64,arm64,$(subst x86_64,x64,$(shell uname -m)))
export PATH := $(CURDIR)/node_modules/node-linux-$(ARCH)/bin:$(CURDIR)/node_modules/.bin:$(PATH)

SOURCES := $(shell find proto formats vsock agent relay sensor matcher central ui cli deploy package-lock.json -type f \
	! -path '*/node_modules/*' ! -path '*/testdata/*' ! -path 'proto/gen/*' ! -name '*.test.ts' 2>/dev/null)

.PHONY: up test build bench fuzz lint clean

up: build
	@exec dist/bin/guestscan up $(ARGS)

build: dist/.built

test: build
	@node .ci/test.ts $(ARGS)

bench: build
	@node bench/main.ts $(ARGS)

fuzz: dist/.installed
	@node bench/fuzz/main.ts $(ARGS)

# Real guests on real vsock, in virtual machines of its own; `ARGS=--smoke` with two of them.
lab: build
	@LAB=$(if $(findstring --smoke,$(ARGS)),smoke,full) vitest run e2e/vsock

lint: dist/.installed
	@node .ci/test.ts --only static

clean:
	rm -rf dist node_modules proto/gen coverage .cache

dist/.installed: package-lock.json
	@command -v npm >/dev/null || { echo "npm was not found: install Node.js 20 or later with npm"; exit 1; }
	@echo "Installing the packages of package-lock.json"
	@npm ci --no-progress --loglevel=error
	@mkdir -p dist && touch $@

dist/.built: dist/.installed $(SOURCES)
	@node deploy/build.ts
	@touch $@
