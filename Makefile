# Makefile — builds Sluice out of source in build/. `make help` lists the targets.

VERSION := 0.1.0
SOVERSION := 0

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
SANITIZER ?=
WERROR ?=
V ?=

ifneq ($(SANITIZER),)
override BUILD := $(BUILD)/$(SANITIZER)
endif
ifndef MAKELEVEL
MAKEFLAGS += --jobs=$(shell nproc)
endif
Q := $(if $(V),,@)
say = @printf '  %-8s %s\n' $(1) $(2)

DEPS_BUILD := gcc make pkg-config libc6-dev libev-dev libprotobuf-c-dev protobuf-c-compiler libhiredis-dev \
	libyaml-dev libjansson-dev libmicrohttpd-dev libxxhash-dev
DEPS_RUN := redis-server redis-tools curl
DEPS_TEST := libcmocka-dev liblua5.1-0-dev valgrind procps
DEPS_LINT := clang clang-format clang-tidy shellcheck

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wpointer-arith \
	-Wcast-qual -Wformat=2 -Wundef -Wvla -Wswitch-enum $(if $(WERROR),-Werror)
# "address" brings the undefined-behaviour checks with it: one build, both.
SANITIZE := $(if $(SANITIZER),-fsanitize=$(SANITIZER) -fno-sanitize-recover=all) \
	$(if $(filter address fuzzer-no-link,$(SANITIZER)),-fsanitize=undefined) \
	$(if $(filter fuzzer-no-link,$(SANITIZER)),-fsanitize=address)
BASE_CFLAGS := -std=c11 -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -O2 -g -fPIC -fvisibility=hidden \
	-fno-omit-frame-pointer -pthread -I. -I$(BUILD) $(WARNINGS) $(SANITIZE)
LIBS := -lmicrohttpd -ljansson -lyaml -lhiredis -lprotobuf-c -lxxhash -lev -lm -pthread
TEST_LIBS := -lcmocka -llua5.1 $(LIBS)

PROTO_SRC := $(wildcard proto/*.c)
SERVER_SRC := $(filter-out server/main.c,$(wildcard server/*.c server/*/*.c)) $(wildcard admin/*.c)
CMD_SRC := $(filter-out client/cmd/main.c,$(wildcard client/cmd/*.c))
CLIENT_SRC := $(filter-out client/example_%,$(wildcard client/*.c))
PRODUCT_SRC := $(PROTO_SRC) $(SERVER_SRC) $(CLIENT_SRC) $(CMD_SRC)
SCRIPT_SRC := $(wildcard lua/*.lua)
SUPPORT_SRC := $(filter-out %/main.c,$(wildcard tests/support/*.c)) \
	$(filter-out tests/property/test_% tests/system/test_%,$(wildcard tests/property/*.c tests/system/*.c))

object = $(patsubst %.c,$(BUILD)/%.o,$(1))
program = $(patsubst %.c,$(BUILD)/%,$(1))

GENERATED_OBJ := $(BUILD)/proto/sluice.pb-c.o $(BUILD)/lua/scripts.o
PRODUCT_OBJ := $(call object,$(PRODUCT_SRC)) $(GENERATED_OBJ)
LIBSLUICE_OBJ := $(call object,$(CLIENT_SRC) $(PROTO_SRC) server/base/buf.c) $(BUILD)/proto/sluice.pb-c.o
UNIT_TESTS := $(call program,$(wildcard tests/unit/test_*.c))
PROPERTY_TESTS := $(call program,$(wildcard tests/property/test_*.c))
ALLOCATION_TESTS := $(filter $(BUILD)/tests/unit/test_allocation_%,$(UNIT_TESTS))
SYSTEM_TESTS := $(call program,$(wildcard tests/system/test_*.c))
BENCHES := $(call program,$(wildcard tests/bench/*.c))
FUZZERS := $(call program,$(wildcard tests/fuzz/fuzz_*.c))
EXAMPLES := $(BUILD)/example_sync $(BUILD)/example_async
PROGRAMS := $(BUILD)/sluiced $(BUILD)/sluice $(EXAMPLES)
LIBRARIES := $(BUILD)/libsluice.a $(BUILD)/libsluice.so

.PHONY: all run test test-build tests fuzz fuzzers deps deps-lint bench install lint format check-layers check-docs clean help
.DEFAULT_GOAL := all

all: $(PROGRAMS) $(LIBRARIES) ## build everything but the tests

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo '  Variables: CC, CFLAGS, BUILD, PREFIX, DESTDIR, WERROR=1, SANITIZER=address|undefined|thread, V=1'

run: deps ## start a Redis Cluster and two frontends on loopback, until Ctrl-C
	@$(MAKE) --no-print-directory all
	@deploy/run.sh $(BUILD)

deps: ## install what is missing, by apt
	@deploy/deps.sh $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST)

deps-lint:
	@deploy/deps.sh $(DEPS_LINT)

test: deps ## build with and without sanitizers, run every test
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory SANITIZER=address all tests
	@tests/run_all.sh $(BUILD) $(BUILD)/address

tests: $(UNIT_TESTS) $(PROPERTY_TESTS) $(SYSTEM_TESTS)

bench: deps ## measure; ratios of two things in one run
	@$(MAKE) --no-print-directory all $(BENCHES)
	@for bench in $(BENCHES); do $$bench || exit 1; done

fuzz: deps deps-lint ## feed random bytes to each parser, FUZZ_SECONDS (20) each, with clang
	@$(MAKE) --no-print-directory SANITIZER=fuzzer-no-link CC=clang fuzzers
	@tests/fuzz/run.sh $(BUILD)/fuzzer-no-link/tests/fuzz

fuzzers: $(FUZZERS)

check-layers: ## includes against the floors of the house
	@tests/check_layers.sh

check-docs: all ## options and metrics against their pages
	@tests/check_docs.sh $(BUILD)/sluiced

lint: deps-lint $(BUILD)/proto/sluice.pb-c.h ## clang's warnings, clang-tidy, shellcheck, format
	@tests/lint.sh $(BUILD)

format: deps-lint ## clang-format the tree
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean: ## remove build/
	$(Q)rm -rf build

# --- objects ---------------------------------------------------------------------------------------------

$(BUILD)/%.o: %.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(call object,$(wildcard server/core/*.c proto/*.c)): BASE_CFLAGS += -Wconversion
$(PRODUCT_OBJ) $(call object,$(SUPPORT_SRC)): | $(BUILD)/proto/sluice.pb-c.h

$(BUILD)/proto/sluice.pb-c.h $(BUILD)/proto/sluice.pb-c.c &: proto/sluice.proto
	$(call say,PROTOC,$<)
	$(Q)mkdir -p $(BUILD)/proto
	$(Q)protoc-c --proto_path=. --c_out=$(BUILD) $<

$(BUILD)/lua/scripts.c: $(SCRIPT_SRC) $(wildcard lua/lib/*.lua) lua/embed.sh
	$(call say,EMBED,$(SCRIPT_SRC))
	$(Q)mkdir -p $(@D)
	$(Q)lua/embed.sh $@ $(SCRIPT_SRC)

$(GENERATED_OBJ): $(BUILD)/%.o: $(BUILD)/%.c
	$(call say,CC,$<)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -w -c $< -o $@

# --- programs --------------------------------------------------------------------------------------------

$(BUILD)/libproduct.a: $(PRODUCT_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $^

$(BUILD)/libsupport.a: $(call object,$(SUPPORT_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $^

link = $(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) -o $@

$(BUILD)/sluiced: $(BUILD)/server/main.o $(BUILD)/libproduct.a
	$(call say,LINK,$@)
	$(link) $(LIBS)

$(BUILD)/sluice: $(BUILD)/client/cmd/main.o $(BUILD)/libproduct.a
	$(call say,LINK,$@)
	$(link) $(LIBS)

# The examples are linked as a user would: against the library alone.
$(EXAMPLES): $(BUILD)/example_%: $(BUILD)/client/example_%.o $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(link) -lev -lprotobuf-c

$(UNIT_TESTS) $(PROPERTY_TESTS) $(SYSTEM_TESTS) $(BENCHES): %: %.o $(BUILD)/libsupport.a $(BUILD)/libproduct.a
	$(call say,LINK,$@)
	$(link) $(TEST_LIBS)

$(FUZZERS): %: %.o $(BUILD)/libproduct.a
	$(call say,LINK,$@)
	$(link) -fsanitize=fuzzer $(LIBS)

# In these, allocations fail when tests/support/failing_malloc.h says so: ours, libyaml's and hiredis'.
comma := ,
WRAPPED := malloc calloc realloc reallocarray strdup
$(ALLOCATION_TESTS): override LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(WRAPPED))
$(ALLOCATION_TESTS): TEST_LIBS := -Wl,-Bstatic -lyaml -lhiredis -Wl,-Bdynamic \
	$(filter-out -lyaml -lhiredis,$(TEST_LIBS))

# --- the client library ----------------------------------------------------------------------------------

# One object whose hidden symbols are local, so that only the public names of sluice.h can clash with others.
$(BUILD)/libsluice.a: $(LIBSLUICE_OBJ)
	$(call say,AR,$@)
	$(Q)$(LD) -r -o $(BUILD)/libsluice.o $^
	$(Q)objcopy --localize-hidden $(BUILD)/libsluice.o
	$(Q)rm -f $@ && $(AR) qcs $@ $(BUILD)/libsluice.o

$(BUILD)/libsluice.so: $(LIBSLUICE_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libsluice.so.$(SOVERSION) $^ -o $@ \
		-lev -lprotobuf-c

install: all ## install programs, library, header and pkg-config file below DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(BUILD)/sluiced $(BUILD)/sluice $(DESTDIR)$(PREFIX)/bin
	install -m 644 client/sluice.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(BUILD)/libsluice.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(BUILD)/libsluice.so $(DESTDIR)$(PREFIX)/lib/libsluice.so.$(VERSION)
	ln -sf libsluice.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libsluice.so.$(SOVERSION)
	ln -sf libsluice.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libsluice.so
	sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g' client/sluice.pc.in \
		> $(DESTDIR)$(PREFIX)/lib/pkgconfig/sluice.pc

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
