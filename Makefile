# chain4d. `make help` lists the targets. A stage is any folder in stages/, a tool any folder in tools/ with a main.c, a test any
# tests/*/test_*.c: there is no list to edit.
MAKEFLAGS += -rR
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
SHELL := /bin/bash

config ?= release
werror ?= 0
V ?= 0
ifeq ($(filter $(config),release debug asan tsan fuzz),)
$(error config=$(config) is not one of release, debug, asan, tsan, fuzz)
endif
B := build/$(config)
Q := $(if $(filter 1,$(V)),,@)

CC := gcc
AR := ar
PKGS := libzmq libprotobuf-c hdf5 libavformat libavcodec libavutil libswscale yaml-0.1 jansson openblas lapacke libpng libxxhash zlib

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla $(if $(filter 1,$(werror)),-Werror)
OPT_release := -O2 -g
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
OPT_fuzz    := $(OPT_asan) -fsanitize-coverage=trace-pc

# These goals must work before anything is installed; test, demo, lint and bench install first and then call make again.
NEEDS_PKGS := $(filter-out deps clean help test demo lint bench bench-drift bench-truth fuzz test-long,$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDS_PKGS),)
ifneq ($(shell pkg-config --exists $(PKGS) 2>/dev/null && echo yes),yes)
$(error some of these libraries are missing: $(PKGS); run `make deps`, which installs them)
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
PKG_LIBS := $(shell pkg-config --libs $(PKGS))
endif

# x86-64-v3 (AVX2, FMA, F16C) is the oldest processor that is supported; OpenBLAS picks its own kernels at run time.
ARCH := $(if $(filter x86_64,$(shell uname -m)),-march=x86-64-v3)
CFLAGS := -std=c11 -D_GNU_SOURCE $(WARN) $(OPT_$(config)) $(ARCH) -ffp-contract=off -fno-math-errno -fno-trapping-math -pthread
CPPFLAGS := -Ilib -I. -I$(B)/gen $(PKG_CFLAGS)
LDFLAGS := $(filter -fsanitize=%,$(OPT_$(config))) -pthread
LIBS := $(PKG_LIBS) -lm

# --- sources ---------------------------------------------------------------------------------------------------------
PROTO := $(wildcard proto/*.proto)
GEN_C := $(PROTO:proto/%.proto=$(B)/gen/%.pb-c.c)
LIB_C := $(wildcard lib/*/*.c lib/*/*/*.c)
PROG_DIRS := $(patsubst %/main.c,%,$(wildcard stages/*/main.c tools/*/main.c orchestrator/main.c))
PROG_C := $(wildcard $(addsuffix /*.c,$(PROG_DIRS)) stages/*/*.c tools/*/*.c)
PART_C := $(filter-out %/main.c,$(sort $(PROG_C)))
TEST_C := $(wildcard tests/*/test_*.c)
SUPPORT_C := $(wildcard tests/support/*.c)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB_O := $(call obj,$(LIB_C)) $(patsubst %.c,%.o,$(GEN_C))
PART_O := $(call obj,$(PART_C))
LIB_A := $(B)/libchain4d.a
PART_A := $(B)/libparts.a
# bin names: orchestrator -> chain4d, stages/chain -> chain4d-chain, tools/golden -> chain4d-golden
bin_of = $(if $(filter orchestrator,$(1)),chain4d,chain4d-$(notdir $(1)))
PROGS := $(foreach d,$(PROG_DIRS),$(B)/bin/$(call bin_of,$(d)))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(TEST_C))
FUZZ_C := $(wildcard tests/fuzz/fuzz_*.c)
LONG_PROGS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/long/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_C))

.PHONY: all deps kernel-bench test-long test-long-run test unit kernel-test fuzz demo lint bench bench-drift bench-drift-run bench-truth bench-truth-run clean help fuzz-run test-run demo-run lint-run bench-run
all: $(PROGS)

# --- installing what is missing ----------------------------------------------------------------------------------------
deps:
	$(Q)tools/install-deps

# --- flags stamp: changed flags rebuild everything -------------------------------------------------------------------------
ifneq ($(NEEDS_PKGS),)
STAMP := $(B)/flags
FLAGS_NOW := $(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $(LIBS)
ifneq ($(strip $(file <$(STAMP))),$(strip $(FLAGS_NOW)))
$(shell mkdir -p $(B))
$(file >$(STAMP),$(FLAGS_NOW))
endif
endif

# --- rules -------------------------------------------------------------------------------------------------------------
$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=proto --c_out=$(@D) $<
$(B)/gen/%.pb-c.o: $(B)/gen/%.pb-c.c $(STAMP)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-shadow -MMD -MP -c $< -o $@
$(B)/obj/%.o: %.c $(STAMP) | $(GEN_C)
	@mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo "  cc $<")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@
$(LIB_A): $(LIB_O)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(PART_A): $(PART_O)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

define PROG_RULE
$(B)/bin/$(call bin_of,$(1)): $(call obj,$(1)/main.c) $(PART_A) $(LIB_A)
	@mkdir -p $$(@D)
	$(Q)$(CC) $(LDFLAGS) $$(filter %.o,$$^) $(PART_A) $(LIB_A) $(LIBS) -o $$@
endef
$(foreach d,$(PROG_DIRS),$(eval $(call PROG_RULE,$(d))))

# An archive, so that a test is linked only with the support that it calls: some tests put functions of their own in the place of lib/stage's.
SUPPORT_A := $(B)/libsupport.a
$(SUPPORT_A): $(call obj,$(SUPPORT_C))
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(B)/tests/%: $(B)/obj/tests/%.o $(SUPPORT_A) $(PART_A) $(LIB_A)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(SUPPORT_A) $(PART_A) $(LIB_A) -lcmocka $(LIBS) -o $@

# The driver counts what the targets reach, so it is not counted itself.
FUZZ_DRIVER_O := $(call obj,tests/fuzz/driver.c tests/fuzz/mutate.c)
$(FUZZ_DRIVER_O): CFLAGS := $(filter-out -fsanitize-coverage=%,$(CFLAGS))
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(FUZZ_DRIVER_O) $(PART_A) $(LIB_A)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(PART_A) $(LIB_A) $(LIBS) -o $@

-include $(patsubst %.o,%.d,$(LIB_O) $(PART_O) $(FUZZ_DRIVER_O) $(call obj,$(TEST_C) $(SUPPORT_C) $(FUZZ_C) $(wildcard tests/long/*.c) $(addsuffix /main.c,$(PROG_DIRS))))
.SECONDARY:

# --- tests ---------------------------------------------------------------------------------------------------------------
# Shell tests (tests/*/test_*.sh) get the build folder as their first argument and print the same lines as the C tests.
SH_TESTS := $(wildcard tests/*/test_*.sh)
unit: $(filter $(B)/tests/unit/% $(B)/tests/kernel/%,$(TESTS))
	$(Q)tests/run $(B) $^
kernel-test: $(filter $(B)/tests/kernel/%,$(TESTS))
	$(Q)tests/run $(B) $^
kernel-bench: $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/kernel/bench_*.c))
	$(Q)for b in $^; do $$b || exit 1; done
test-run: $(PROGS) $(TESTS) $(FUZZERS) $(LONG_PROGS)
	$(Q)tests/run $(B) $(TESTS) $(SH_TESTS)

test-long: deps
	$(Q)$(MAKE) --no-print-directory config=$(config) V=$(V) test-long-run
test-long-run: $(LONG_PROGS)
	$(Q)tests/long/run $(B)

# `make fuzz` for all targets a minute each; `make fuzz what=glb seconds=600` for one.
seconds ?= 60
what ?=
fuzz: deps
	$(Q)$(MAKE) --no-print-directory config=fuzz V=$(V) seconds=$(seconds) what="$(what)" fuzz-run
fuzz-run: $(FUZZERS)
	$(Q)tests/fuzz/run $(B) $(seconds) $(what)

# --- the commands of README: install, build, do ----------------------------------------------------------------------------
test demo lint bench bench-drift bench-truth: deps
	$(Q)$(MAKE) --no-print-directory config=$(config) werror=$(werror) V=$(V) $@-run

DEMO := build/demo
demo-run: $(PROGS)
	$(Q)tools/demo $(B) $(DEMO)

bench-run: $(PROGS)
	$(Q)tools/bench $(B)

bench-drift-run: $(PROGS)
	$(Q)tools/bench-drift $(B)

bench-truth-run: $(PROGS)
	$(Q)tools/bench-truth $(B) build/bench-truth

# cppcheck takes an array or struct that is filled through a pointer for uninitialised, and macros of inttypes.h for arguments; gcc (-Wall) and the
# sanitizers know better.
lint-run: $(PROGS)
	$(Q)tools/check-layers
	$(Q)tools/check-headers "$(CC)" $(ARCH) $(CPPFLAGS)
	$(Q)cppcheck -q --std=c11 --language=c --enable=warning,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=uninitvar --suppress=uninitStructMember --suppress=wrongPrintfScanfArgNum -j2 --template='{file}:{line}: {severity}: {message} [{id}]' \
	    -Ilib -I. -I$(B)/gen lib stages tools orchestrator

clean:
	$(Q)rm -rf build

help:
	@echo "make               build everything into build/$(config)"
	@echo "make demo          install what is missing, build, turn examples/*.mp4 into animated meshes (build/demo)"
	@echo "make test          install what is missing, build, run all tests; ends with 'N passed, N failed'"
	@echo "make unit          unit and kernel tests only"
	@echo "make test-long     the denoiser at its published size: 7 GB of disk, 9 GB of memory, some minutes"
	@echo "make kernel-bench  what half-precision weights cost in time"
	@echo "make fuzz          mutates hostile inputs of every reader; what=NAME seconds=N for one"
	@echo "make kernel-test   every operation of every backend against ref"
	@echo "make bench-truth   every number of docs/results.md again, from nothing (up to half an hour on two cores)"
	@echo "make bench         where the time of a 16-frame clip goes, per stage"
	@echo "make bench-drift   how results drift over 241 frames, setting by setting (hours; docs/drift.md)"
	@echo "make lint          layers, headers alone, cppcheck"
	@echo "make deps          install the Debian packages that are missing"
	@echo "make clean         remove build/"
	@echo "options:           config=release|debug|asan|tsan|fuzz  werror=1  V=1"
