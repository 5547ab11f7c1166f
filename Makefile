# Needs Go 1.26, make and git; no C compiler but for the one helper.
#   make              build bin/cipherdeck
#   make pkcs11       build bin/cipherdeck-pkcs11 for PKCS#11 tokens, with a C compiler
#   make secret       the same with Go's experiment that erases what keys leave in memory
#   make demo         build, then run the demonstration; ARGS="…" goes to it
#   make test         every check; installs Debian packages if it may (.ci/deps)
#   make test-slow    tests that need minutes or gigabytes of disk; not part of make test
#   make test-full    the faults of the store in their long form, some ten minutes; blobs against a real S3 server and a real IPFS daemon, which it builds
#   make bench-blobs  blobs in files beside a plain copy
#   make bench-journal a link to its signed promise and to a checkpoint, beside an fsync on the same disk
#   make bench-store  puts by one writer and by 32 beside a plain file on the same disk, watchers; prints ratios
#   make fuzz         each fuzz target for FUZZTIME seconds
#   make rsa8192      the tests that make an RSA key of 8192 bits: a minute or two
#   make bench        benchmarks; BENCH= and PKGS= narrow them
#   make bench-project open and re-encrypt 10 000 items, upload beside a plain copy
#   make bench-seal sealing beside age, cp and tar on a memory file system
#   make release      VERSION=1.2: programs, checksums and what a server measures of itself, into dist/
#   make reproducible the same twice, in different places and from empty caches, and compare
#   make attest-diff  quotes and firmware logs of real machines, judged beside other verifiers
#   make bench-attest the same, timed: ours, theirs, ratio; connect to verdict p50 and p99
#   make install      to $(DESTDIR)$(PREFIX); make uninstall takes it away
#   make clean        remove what was built
PREFIX   ?= /usr/local
DESTDIR  ?=
ARGS     ?=
FUZZTIME ?= 60
BENCH    ?= .
PKGS     ?= ./...
GO       ?= go

# Also keeps the race detector and cgo resolvers out: every build is the same.
export CGO_ENABLED = 0

.PHONY: build secret pkcs11 demo test test-slow test-full fuzz rsa8192 bench bench-seal bench-blobs bench-store bench-journal bench-project bench-attest attest-diff release reproducible install uninstall clean

build:
	$(GO) build -trimpath -buildvcs=false -o bin/cipherdeck .

# The libraries of tokens are C, so the program that loads them needs cgo.
pkcs11: export CGO_ENABLED = 1
pkcs11:
	$(GO) build -trimpath -buildvcs=false -o bin/cipherdeck-pkcs11 ./vault/pkcs11/cipherdeck-pkcs11

secret: export GOEXPERIMENT = runtimesecret
secret: build

demo: build
	bin/cipherdeck demo $(ARGS)

test:
	.ci/deps
	.ci/test

test-slow:
	CIPHERDECK_SLOW=1 $(GO) test -v -count=1 -timeout 30m -run 'MoreThan4GiB|HundredThousandFiles' ./crypto/...
	CIPHERDECK_SLOW=1 $(GO) test -v -count=1 -timeout 30m -run TestBigItemInLittleMemory ./vault/project

test-full:
	.ci/test-full
	CIPHERDECK_FAULTS=full $(GO) test -v -count=1 -timeout 40m ./remote/store/jetstream ./remote/store/faultfs ./remote/store/mem

bench-blobs:
	$(GO) test -run '^$$' -bench Blobs ./remote/store/file

bench-journal:
	$(GO) test -run '^$$' -bench 'Journal$$' -benchtime 400x ./remote/server

bench-store:
	$(GO) test -run '^$$' -bench 'Put|Watch' -benchtime 3s ./remote/store/jetstream

fuzz:
	.ci/fuzz $(FUZZTIME)

rsa8192:
	CIPHERDECK_RSA8192=1 $(GO) test -count=1 -timeout 1h -run 8192 ./vault/account ./crypto/keys

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKGS)

bench-seal:
	.ci/bench-seal

bench-project:
	$(GO) test -run '^$$' -bench '10000Items|Upload|PlainCopy|Chain|Members' -benchmem ./vault/project

release:
	@test -n '$(VERSION)' || { echo "say which: make release VERSION=1.2" >&2; exit 1; }
	.ci/release '$(VERSION)'

reproducible:
	.ci/reproducible

attest-diff:
	cd .ci/tools/attestdiff && $(GO) test -count=1 ./...

bench-attest:
	@echo "load: $$(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || uptime)"
	cd .ci/tools/attestdiff && CIPHERDECK_RATIOS=1 GOMAXPROCS=1 $(GO) test -v -count=1 -run Ratios . | grep -v -e '^=== ' -e '^PASS'
	$(GO) test -run '^$$' -bench 'Verify|Replay|ConnectToVerdict' -benchtime 2s -benchmem ./attest/...

# Installs what was built, so that `sudo make install` compiles nothing as root.
install:
	@test -x bin/cipherdeck || { echo "bin/cipherdeck is missing: run make first" >&2; exit 1; }
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/doc/cipherdeck'
	install -m 755 bin/cipherdeck '$(DESTDIR)$(PREFIX)/bin/cipherdeck'
	if test -x bin/cipherdeck-pkcs11; then install -m 755 bin/cipherdeck-pkcs11 '$(DESTDIR)$(PREFIX)/bin/cipherdeck-pkcs11'; fi
	install -m 644 LICENSE README.md CHANGELOG.md SECURITY.md '$(DESTDIR)$(PREFIX)/share/doc/cipherdeck/'
	cp -R docs '$(DESTDIR)$(PREFIX)/share/doc/cipherdeck/'
	install -d '$(DESTDIR)$(PREFIX)/share/cipherdeck/systemd'
	install -m 644 assets/systemd/*.service assets/systemd/*.timer '$(DESTDIR)$(PREFIX)/share/cipherdeck/systemd/'

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/cipherdeck' '$(DESTDIR)$(PREFIX)/bin/cipherdeck-pkcs11'
	rm -rf '$(DESTDIR)$(PREFIX)/share/doc/cipherdeck' '$(DESTDIR)$(PREFIX)/share/cipherdeck'

clean:
	rm -rf bin dist
	find . -path ./.git -prune -o \( -name '*.test' -o -name '*.prof' \) -exec rm -f {} +
