# Makefile — builds Sluice out of source in build/. `make help` lists the targets.

VERSION := 0.1.0
SOVERSION := 0

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif
SANITIZER ?=
WERROR ?=
V ?=

# Where this build goes: a sanitized one below the plain one.
OUT := $(BUILD)$(if $(SANITIZER),/$(SANITIZER))
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(shell nproc)
endif
Q := $(if $(V),,@)
say = @printf '  %-8s %s\n' $(1) $(2)

# libssl-dev: of OpenSSL, libcrypto alone, for the hashes of admin tokens and their comparison in constant time.
DEPS_BUILD := gcc make pkg-config libc6-dev libev-dev libprotobuf-c-dev protobuf-c-compiler libhiredis-dev \
	libyaml-dev libjansson-dev libmicrohttpd-dev libxxhash-dev libcurl4-openssl-dev libssl-dev
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
	-fno-omit-frame-pointer -pthread -I. -I$(OUT) $(WARNINGS) $(SANITIZE)
LIBS := -lmicrohttpd -lcrypto -ljansson -lyaml -lhiredis -lprotobuf-c -lxxhash -lev -lm -pthread
CURL_LIBS := -lcurl $(LIBS)
TEST_LIBS := -lcmocka -llua5.1 $(CURL_LIBS)

PROTO_SRC := $(wildcard proto/*.c)
SERVER_SRC := $(filter-out server/main.c,$(wildcard server/*.c server/*/*.c)) $(wildcard admin/*.c)
CMD_SRC := $(filter-out client/cmd/main.c,$(wildcard client/cmd/*.c))
CTL_SRC := $(filter-out admin/ctl/main.c,$(wildcard admin/ctl/*.c))
CLIENT_SRC := $(filter-out client/example_%,$(wildcard client/*.c))
PRODUCT_SRC := $(PROTO_SRC) $(SERVER_SRC) $(CLIENT_SRC) $(CMD_SRC) $(CTL_SRC)
SCRIPT_SRC := $(wildcard lua/*.lua)
SUPPORT_SRC := $(filter-out %/main.c,$(wildcard tests/support/*.c)) \
	$(filter-out tests/property/test_% tests/system/test_% tests/chaos/test_%, \
	$(wildcard tests/property/*.c tests/system/*.c tests/chaos/*.c))

object = $(patsubst %.c,$(OUT)/%.o,$(1))
program = $(patsubst %.c,$(OUT)/%,$(1))

GENERATED_OBJ := $(OUT)/proto/sluice.pb-c.o $(OUT)/lua/scripts.o
PRODUCT_OBJ := $(call object,$(PRODUCT_SRC)) $(GENERATED_OBJ)
LIBSLUICE_SRC := $(CLIENT_SRC) $(PROTO_SRC) $(patsubst %,server/base/%.c,buf clock ensure hash status) \
	$(patsubst %,server/core/%.c,bucket calendar table window)
LIBSLUICE_OBJ := $(call object,$(LIBSLUICE_SRC)) $(OUT)/proto/sluice.pb-c.o
LIBSLUICE_LIBS := -lev -lprotobuf-c -lxxhash
UNIT_TESTS := $(call program,$(wildcard tests/unit/test_*.c))
PROPERTY_TESTS := $(call program,$(wildcard tests/property/test_*.c))
ALLOCATION_TESTS := $(filter $(OUT)/tests/unit/test_allocation_%,$(UNIT_TESTS))
SYSTEM_TESTS := $(call program,$(wildcard tests/system/test_*.c))
CHAOS_TESTS := $(call program,$(wildcard tests/chaos/test_*.c)) $(OUT)/tests/chaos/shifted_clock.so
BENCHES := $(call program,$(wildcard tests/bench/*.c))
FUZZERS := $(call program,$(wildcard tests/fuzz/fuzz_*.c))
EXAMPLES := $(OUT)/example_sync $(OUT)/example_async
PROGRAMS := $(OUT)/sluiced $(OUT)/sluice $(OUT)/sluicectl $(EXAMPLES)
LIBRARIES := $(OUT)/libsluice.a $(OUT)/libsluice.so

FORCE:
.DELETE_ON_ERROR:
.PHONY: FORCE all run test test-thread tests chaos fuzz fuzzers deps deps-lint bench install lint format check-layers \
	check-docs clean help
.DEFAULT_GOAL := all

all: $(PROGRAMS) $(LIBRARIES) ## build everything but the tests

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo '  Variables: CC, CFLAGS, BUILD, PREFIX, DESTDIR, WERROR=1, SANITIZER=address|undefined|thread, V=1'

run: deps ## start a Redis Cluster and two frontends on loopback, until Ctrl-C
	@$(MAKE) --no-print-directory all
	@deploy/run.sh $(OUT)

deps: ## install what is missing, by apt
	@deploy/deps.sh $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST)

deps-lint:
	@deploy/deps.sh $(DEPS_LINT)

test: deps ## build with and without sanitizers, run every test
	@$(MAKE) --no-print-directory SANITIZER= all
	@$(MAKE) --no-print-directory SANITIZER=address all tests
	@tests/run_all.sh $(BUILD) $(BUILD)/address

test-thread: deps ## the tests of threads and sockets under ThreadSanitizer
	@$(MAKE) --no-print-directory SANITIZER= all
	@$(MAKE) --no-print-directory SANITIZER=thread all tests
	@tests/run_thread.sh $(BUILD) $(BUILD)/thread

tests: $(UNIT_TESTS) $(PROPERTY_TESTS) $(SYSTEM_TESTS) $(CHAOS_TESTS)

chaos: deps ## break Redis and frontends under load, up to 10 minutes; SCENARIO=kill_shard for one
	@$(MAKE) --no-print-directory all $(CHAOS_TESTS)
	@SLUICE_BUILD=$(OUT) $(OUT)/tests/chaos/test_chaos $(SCENARIO)

bench: deps ## measure against references, up to 10 minutes; CASE=hot for one, ROUNDS=5
	@$(MAKE) --no-print-directory all $(BENCHES)
	@tests/bench/run.sh $(OUT)

fuzz: deps deps-lint ## feed random bytes to each parser, FUZZ_SECONDS (20) each, with clang
	@$(MAKE) --no-print-directory SANITIZER=fuzzer-no-link CC=clang fuzzers
	@tests/fuzz/run.sh $(BUILD)/fuzzer-no-link/tests/fuzz

fuzzers: $(FUZZERS)

check-layers: ## includes against the layers, which see only what is below them
	@tests/check_layers.sh

check-docs: all ## options and metrics against their pages
	@tests/check_docs.sh $(OUT)/sluiced

lint: deps-lint $(OUT)/proto/sluice.pb-c.h ## clang's warnings, clang-tidy, shellcheck, format
	@tests/lint.sh $(OUT)

format: deps-lint ## clang-format the tree
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean: ## remove what was built
	$(Q)rm -rf $(BUILD)

# --- objects ---------------------------------------------------------------------------------------------

# Changed only when the compiler or its flags have, or the list of sources: then objects, or archives, are made anew.
$(OUT)/flags: export WHAT = $(CC) $(BASE_CFLAGS) $(CFLAGS) $(LDFLAGS)
$(OUT)/sources: export WHAT = $(PRODUCT_SRC) $(SUPPORT_SRC)
$(OUT)/flags $(OUT)/sources: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)printf '%s\n' "$$WHAT" > $@.new
	$(Q)cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(OUT)/%.o: %.c Makefile $(OUT)/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(call object,$(wildcard server/core/*.c proto/*.c)): private BASE_CFLAGS += -Wconversion

# The way of a check crosses many files with a few instructions in each: gcc compiles over these as if they were one.
HOT_SRC := $(wildcard proto/*.c server/base/*.c server/core/*.c server/limit/*.c server/net/*.c)
LTO := $(if $(SANITIZER),,$(if $(findstring gcc,$(notdir $(CC))),-flto=auto))
$(call object,$(HOT_SRC)): private BASE_CFLAGS += $(addsuffix $() -ffat-lto-objects,$(LTO))
$(PRODUCT_OBJ) $(call object,$(SUPPORT_SRC)) $(addsuffix .o,$(UNIT_TESTS)): | $(OUT)/proto/sluice.pb-c.h

$(OUT)/proto/sluice.pb-c.h $(OUT)/proto/sluice.pb-c.c &: proto/sluice.proto
	$(call say,PROTOC,$<)
	$(Q)mkdir -p $(OUT)/proto
	$(Q)protoc-c --proto_path=. --c_out=$(OUT) $<

$(OUT)/lua/scripts.c: $(SCRIPT_SRC) $(wildcard lua/lib/*.lua) lua/embed.sh
	$(call say,EMBED,$(SCRIPT_SRC))
	$(Q)mkdir -p $(@D)
	$(Q)lua/embed.sh $@ $(SCRIPT_SRC)

$(GENERATED_OBJ): $(OUT)/%.o: $(OUT)/%.c Makefile $(OUT)/flags
	$(call say,CC,$<)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -w -MMD -MP -c $< -o $@

# --- programs --------------------------------------------------------------------------------------------

$(OUT)/libproduct.a: $(PRODUCT_OBJ) $(OUT)/sources
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

$(OUT)/libsupport.a: $(call object,$(SUPPORT_SRC)) $(OUT)/sources
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $(filter %.o,$^)

link = $(Q)$(CC) $(BASE_CFLAGS) $(LTO) $(CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) -o $@

$(OUT)/sluiced: $(OUT)/server/main.o $(OUT)/libproduct.a
	$(call say,LINK,$@)
	$(link) $(LIBS)

$(OUT)/sluice: $(OUT)/client/cmd/main.o $(OUT)/libproduct.a
	$(call say,LINK,$@)
	$(link) $(CURL_LIBS)

$(OUT)/sluicectl: $(OUT)/admin/ctl/main.o $(OUT)/libproduct.a
	$(call say,LINK,$@)
	$(link) $(CURL_LIBS)

# The examples are linked as a user would: against the library alone.
$(EXAMPLES): $(OUT)/example_%: $(OUT)/client/example_%.o $(OUT)/libsluice.a
	$(call say,LINK,$@)
	$(link) $(LIBSLUICE_LIBS)

$(UNIT_TESTS) $(PROPERTY_TESTS) $(SYSTEM_TESTS) $(filter-out %.so,$(CHAOS_TESTS)) $(BENCHES): %: %.o $(OUT)/libsupport.a $(OUT)/libproduct.a
	$(call say,LINK,$@)
	$(link) $(TEST_LIBS)

# Preloaded into a redis-server, which brings no sanitizer along.
$(OUT)/tests/chaos/shifted_clock.so: tests/chaos/preload/shifted_clock.c Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -fPIC $(WARNINGS) -shared $< -o $@

$(FUZZERS): %: %.o $(OUT)/libproduct.a
	$(call say,LINK,$@)
	$(link) -fsanitize=fuzzer $(LIBS)

# In these, allocations fail when tests/support/failing_malloc.h says so: ours, libyaml's and hiredis'.
comma := ,
WRAPPED := malloc calloc realloc reallocarray aligned_alloc strdup
$(ALLOCATION_TESTS): private override LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(WRAPPED))
$(ALLOCATION_TESTS): private TEST_LIBS := -Wl,-Bstatic -lyaml -lhiredis -Wl,-Bdynamic \
	$(filter-out -lyaml -lhiredis,$(TEST_LIBS))

# --- the client library ----------------------------------------------------------------------------------

# One object whose hidden symbols are local, so that only the public names of sluice.h can clash with others.
$(OUT)/libsluice.a: $(LIBSLUICE_OBJ)
	$(call say,AR,$@)
	$(Q)$(CC) -r -nostdlib $(LTO) $(if $(LTO),-flinker-output=nolto-rel) -o $(OUT)/libsluice.o $^
	$(Q)objcopy --localize-hidden $(OUT)/libsluice.o
	$(Q)rm -f $@ && $(AR) qcs $@ $(OUT)/libsluice.o

$(OUT)/libsluice.so: $(LIBSLUICE_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_CFLAGS) $(LTO) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libsluice.so.$(SOVERSION) $^ -o $@ \
		$(LIBSLUICE_LIBS)

install: TO = "$(DESTDIR)$(PREFIX)"
install: all ## install programs, library, header and pkg-config file below DESTDIR/PREFIX
	install -d $(TO)/bin $(TO)/include $(TO)/lib/pkgconfig
	install -m 755 $(OUT)/sluiced $(OUT)/sluice $(OUT)/sluicectl $(TO)/bin
	install -m 644 client/sluice.h $(TO)/include
	install -m 644 $(OUT)/libsluice.a $(TO)/lib
	install -m 755 $(OUT)/libsluice.so $(TO)/lib/libsluice.so.$(VERSION)
	ln -sf libsluice.so.$(VERSION) $(TO)/lib/libsluice.so.$(SOVERSION)
	ln -sf libsluice.so.$(SOVERSION) $(TO)/lib/libsluice.so
	sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g' client/sluice.pc.in > $(TO)/lib/pkgconfig/sluice.pc

.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
