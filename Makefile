# momentscope - build, test, demonstrate. `make help` lists the targets.

BUILD   ?= build
CC      ?= cc
PYTHON  ?= /usr/bin/python3
CSTD     = -std=c11 -D_GNU_SOURCE
WARN     = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes
OPT     ?= -O2 -g
SAN     ?=
ifeq ($(WERROR),1)
WARN    += -Werror
endif
ARCH    := $(shell $(CC) -dumpmachine | cut -d- -f1)
# float must be computed as float. The x87 unit does not, and gcc for s390x not in standard C.
ifneq ($(filter i%86,$(ARCH)),)
FPU      = -msse2 -mfpmath=sse
else ifeq ($(ARCH),s390x)
FPU      = -fexcess-precision=fast
endif
# SIMDe is a system header tree: its own warnings are not ours.
BASE     = $(CSTD) $(OPT) $(WARN) $(SAN) $(FPU) -ffp-contract=off -fPIC -MMD -MP -Iinclude -Ifirmware -Iprotocol -Ihost $(CFLAGS)
PKG      = pkg-config
ZMQ_CFLAGS := $(shell $(PKG) --cflags libzmq 2>/dev/null)
ZMQ_LIBS    = $(shell $(PKG) --libs libzmq) -lmsgpackc
HOST_LIBS   = $(shell $(PKG) --libs gsl fftw3 libcjson)
CLI_LIBS    = $(shell $(PKG) --libs cairo fontconfig)
EXTRA_predict_plot = $(shell $(PKG) --cflags cairo fontconfig)
EXTRA_plot  = $(EXTRA_predict_plot)
EXTRA_canvas = $(EXTRA_predict_plot)
# MPI is optional: MPI=no builds without it, so does a machine that has none. Only momentscope_mpi.so needs it.
ifneq ($(MPI),no)
MPI_PC     := $(firstword $(foreach p,ompi-c mpich,$(shell $(PKG) --exists $(p) 2>/dev/null && echo $(p))))
MPI_LIBS   := $(if $(MPI_PC),$(shell $(PKG) --libs $(MPI_PC)),$(shell mpicc --showme:link 2>/dev/null))
EXTRA_ranks_mpi := $(patsubst -I%,-isystem%,$(if $(MPI_PC),$(shell $(PKG) --cflags $(MPI_PC)),$(shell mpicc --showme:compile 2>/dev/null)))
endif
# The models on text and the powers of coupled maps are plain loop nests; nothing else is built for speed alone.
EXTRA_model = -O3
EXTRA_workload_bigram = -O3
EXTRA_risk  = -O3

# -- sources, by the room they live in --------------------------------------------------
CORE_SRC   = $(addprefix firmware/core/,err.c schedule.c moments.c activity.c kern.c kern_ref.c kern_v128.c \
             kern_v256.c kern_v512.c layout.c coalesce.c row.c table.c apply.c totals.c rows.c probe.c acf.c snapshot.c)
THREADS_SRC = firmware/threads/workers.c
PROTO_SRC  = protocol/endpoint.c protocol/bind.c protocol/fields.c protocol/ingest.c protocol/lane.c protocol/telemetry.c
CLIENT_SRC = $(addprefix host/client/,queue.c lane.c link.c heal.c check.c push.c gather.c forward.c attach.c subscribe.c)
DAEMON_SRC = $(addprefix firmware/daemon/,main.c options.c log.c sockets.c realtime.c inbox.c lanes.c ingest.c engine.c tables.c \
             entries.c steps.c records.c slices.c ring.c publish.c replay.c store.c mapped.c)
THEORY_SRC = $(addprefix host/theory/,batch.c matrix.c maps.c clocks.c stability.c feedback.c vocabulary.c \
             atlas.c limits.c integrate.c gauss.c kl.c logistic.c floors.c lr_limits.c)
DIAG_SRC   = host/diagnose/curvature.c host/diagnose/shards.c host/diagnose/verdict.c host/diagnose/spectrum.c \
             $(addprefix host/diagnose/,risk.c search.c conflict.c advice.c measured.c advice_words.c)
RECORD_SRC = $(addprefix host/record/,tape_read.c tape_write.c contents.c relay.c relay_tape.c answer.c)
CLI_SRC    = $(addprefix host/cli/,main.c record.c replay.c watch.c watch_view.c watch_summary.c listen.c feed.c record_json.c check.c advise.c predict.c predict_json.c predict_ls.c predict_lr.c \
             predict_words.c predict_plot.c)
BENCH_SRC  = $(addprefix host/bench/,registry.c rng.c rows.c schedules.c gated.c gated_advise.c workload_sparse_ls.c workload_vocab_ls.c \
             workload_rare_lr.c workload_bigram.c bigram_counts.c pool.c crew.c pool_ranks.c ranks.c grid.c execute.c runner.c list.c results.c canvas.c plot.c compare.c reproduce.c \
             claims_000.c claims_000_ls.c claims_000_lr.c claims_000_mc.c claims_semantics.c) host/cli/bench.c host/demo/model.c host/demo/text.c
BENCH_SRC += $(addprefix host/bench/,models.c linear_moments.c mixture_flow.c workload_uv.c workload_pca.c claims_001.c claims_003.c claims_003_pca.c)
BENCH_SRC += $(addprefix host/bench/,workload_multi_index.c claims_004.c workload_gmm.c claims_003_mix.c claims_003_ring.c claims_003_flow.c)
DEMO_SRC   = host/demo/trainer.c host/demo/model.c host/demo/text.c
TESTS      = test_exact test_totals test_kern test_core test_parallel test_wire test_engine test_realtime test_client test_client_heal test_client_words test_subscribe test_verdict test_spectrum test_theory test_logistic test_theory_vectors test_theory_mc test_conflict test_advice test_bench_models
TESTS     += test_tape test_trace test_reproduce test_bench_theory
BENCH_SRC += $(addprefix host/bench/,workload_trace.c trace_load.c trace_fit.c trace_play.c)
ifeq ($(ONLY_REF),1)  # for processors without vector units: the scalar kernel is all, and SIMDe is not needed
CORE_SRC  := $(filter-out %v128.c %v256.c %v512.c,$(CORE_SRC))
FPU       += -DMSCOPE_ONLY_REF
endif

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ    = $(call obj,$(CORE_SRC) $(THREADS_SRC) $(PROTO_SRC) $(CLIENT_SRC))
HOST_OBJ   = $(call obj,$(THEORY_SRC) $(DIAG_SRC) $(RECORD_SRC))
PROGRAMS   = $(if $(DAEMON_SRC),$(BUILD)/momentscoped) $(if $(CLI_SRC),$(BUILD)/momentscope) $(if $(DEMO_SRC),$(BUILD)/demo_trainer) \
             $(if $(MPI_LIBS),$(BUILD)/momentscope_mpi.so)
TEST_BIN   = $(addprefix $(BUILD)/tests/,$(TESTS))

ifneq ($(V),1)
MAKEFLAGS += --no-print-directory
Q = @echo '  $@';
endif

.PHONY: all check-arch arch-build core daemon host tests test check demo deps deps-optional help clean headers asan tsan valgrind cppcheck reproduce bench bench-bigram bench-text bench-publish bench-soak bench-verdicts bench-conflict bench-advice bench-kernels bench-step bench-path
.DELETE_ON_ERROR:

all: $(BUILD)/libmomentscope.a $(BUILD)/libmomentscope.so $(PROGRAMS) ## build everything

core: $(BUILD)/libmscope_core.a ## build the freestanding core alone (needs neither libzmq nor FFTW)

daemon: $(BUILD)/momentscoped ## build the daemon

host: $(BUILD)/momentscope ## build the host program

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(EXTRA_$(notdir $*)) $(ZMQ_CFLAGS) -c $< -o $@

# On x86 the wider twins need their instructions enabled, each for its one file (WIDE=0: do without); elsewhere SIMDe maps
# them. -O3 unrolls the few vectors of a block and moves what does not change out of the loops; bits do not depend on it, and
# where a width is made of plain C, or instrumented, it would take the compiler minutes.
WIDE ?= 1
UNROLL = $(if $(SAN),-O0,-O3)
ifneq ($(ONLY_REF),1)
EXTRA_kern_ref  = $(UNROLL)
EXTRA_apply     = $(UNROLL)
endif
EXTRA_kern_v128 = $(if $(filter x86_64 i%86 aarch64,$(ARCH)),$(UNROLL),-O1)
EXTRA_kern_v256 = -O1
EXTRA_kern_v512 = -O1
ifneq ($(filter x86_64 i%86,$(ARCH)),)
EXTRA_kern_v128 += -Wno-psabi
EXTRA_kern_v256  = $(if $(filter 1,$(WIDE)),$(UNROLL) -mavx2 -mfma,-O1 -Wno-psabi)
EXTRA_kern_v512  = $(if $(filter 1,$(WIDE)),$(UNROLL) -mavx512f,-O1 -Wno-psabi)
endif

$(BUILD)/libmscope_core.a: $(call obj,$(CORE_SRC))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libmomentscope.a: $(LIB_OBJ)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libmomentscope.so: $(LIB_OBJ)
	$(Q)$(CC) $(SAN) -shared -o $@ $^ $(LDFLAGS) $(ZMQ_LIBS) -lm -pthread

$(BUILD)/libmscope_host.a: $(HOST_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/momentscoped: $(call obj,$(DAEMON_SRC)) $(BUILD)/libmomentscope.a
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(ZMQ_LIBS) -lm -pthread

$(BUILD)/momentscope: $(call obj,$(CLI_SRC) $(BENCH_SRC)) $(BUILD)/libmscope_host.a $(BUILD)/libmomentscope.a
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(CLI_LIBS) $(HOST_LIBS) $(ZMQ_LIBS) -lm -ldl

$(BUILD)/momentscope_mpi.so: $(call obj,host/bench/ranks_mpi.c)
	$(Q)$(CC) $(SAN) -shared -o $@ $^ $(LDFLAGS) $(MPI_LIBS)

$(BUILD)/demo_trainer: $(call obj,$(DEMO_SRC)) $(BUILD)/libmomentscope.a
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(ZMQ_LIBS) -lm

$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/libmscope_host.a $(BUILD)/libmomentscope.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(LINK_$*) -lcmocka $(HOST_LIBS) $(ZMQ_LIBS) -lm -pthread

tests: $(BUILD)/libmscope_core.a $(TEST_BIN) $(BUILD)/bench/verdicts

$(BUILD)/bench/verdicts: $(call obj,$(wildcard host/bench/verdicts*.c)) $(BUILD)/libmscope_host.a $(BUILD)/libmomentscope.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(HOST_LIBS) $(ZMQ_LIBS) -lm

bench-verdicts: all tests ## verdicts on random bands through a real daemon: confusion matrices, two minutes
	@$(BUILD)/bench/verdicts; met=$$?; echo; $(BUILD)/bench/verdicts --balanced --bands 480; exit $$met

.SECONDARY: $(BUILD)/obj/host/bench/zipf.o $(BUILD)/obj/host/bench/conflict.o $(BUILD)/obj/host/bench/advice.o
$(BUILD)/bench/%: $(BUILD)/obj/host/bench/%.o $(BUILD)/obj/host/bench/zipf.o $(BUILD)/libmscope_host.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(HOST_LIBS) -lm

reproduce: all ## the papers' claims: their number, ours, PASS, FAIL or CORRECTED; minutes; fails if one cannot be computed
	@$(BUILD)/momentscope bench reproduce --jobs 2

# Speed: every bench of tests/bench that is in the tree (B=name filters), those of C listed here.
SPEED = $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard $(addprefix tests/bench/,kernels.c step.c path.c publish.c)))

bench: ## every speed bench in one table, ratios of one run, JSON beside it; up to ten minutes on an idle machine (B=name filters)
	@$(MAKE) deps || echo "going on without what could not be installed"
	@$(MAKE) -j2 all $(SPEED)
	@BUILD=$(BUILD) PYTHON=$(PYTHON) $(PYTHON) tests/bench/run $(B)

$(BUILD)/bench/step: $(call obj,tests/bench/step.c) $(BUILD)/libmomentscope.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) -lcmocka -lm -pthread

bench-step: $(BUILD)/bench/step ## the core's own costs: bookkeeping of a row, of a step, two threads, memory, resum; JSON
	@$(BUILD)/bench/step

$(BUILD)/bench/kernels: $(call obj,tests/bench/kernels.c) $(BUILD)/libmscope_core.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) -lcmocka -lm

bench-kernels: $(BUILD)/bench/kernels ## row kernels against a loop that only moves their bytes, a minute; JSON
	@$(BUILD)/bench/kernels

bench-bigram: all ## the full-size bigram protocol on real text, resumable; host/bench/bigram.sh has its settings
	@BUILD=$(BUILD) host/bench/bigram.sh

$(BUILD)/bench/path: $(call obj,$(addprefix tests/bench/,path.c path_daemon.c path_latency.c)) $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $(filter %.o,$^) $(LDFLAGS) -Wl,--wrap=mscope_engine_message -Wl,--start-group $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a -Wl,--end-group $(ZMQ_LIBS) -lm -pthread

bench-path: $(BUILD)/bench/path ## from trainer to applied row and published record, against raw libzmq in the same run; JSON
	@$(BUILD)/bench/path

$(BUILD)/bench/publish: $(call obj,tests/bench/publish.c) $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $(filter %.o,$^) $(LDFLAGS) -Wl,--start-group $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a -Wl,--end-group $(ZMQ_LIBS) -lm -pthread

bench-publish: $(BUILD)/bench/publish ## what a publication of 64 bands over 1 M rows costs, and its longest piece
	@$(BUILD)/bench/publish

$(BUILD)/bench/soak: $(call obj,tests/bench/soak.c) $(BUILD)/libmomentscope.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(ZMQ_LIBS) -lm -pthread

SOAK ?= --steps 1000000 --rows 1024 --dim 4 --active 16 -- --log-level warn --max-tables 1 --replay-bytes 64K
bench-soak: $(BUILD)/bench/soak $(BUILD)/momentscoped ## a daemon's memory over a million steps, and its idle cost (SOAK=options)
	@BUILD=$(BUILD) $(BUILD)/bench/soak $(SOAK)

bench-conflict: $(BUILD)/bench/conflict ## C* against the true gain of a beta for each band, 96 vocabularies, two minutes
	@$(BUILD)/bench/conflict

bench-advice: $(BUILD)/bench/advice ## advised settings against a sweep, by exact propagation and by sampling, minutes
	@$(BUILD)/bench/advice

# The engine's test sees every allocation of ours.
WRAP_test_engine = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=mmap
LINK_test_engine = $(WRAP_test_engine) \
                   -Wl,--start-group $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a -Wl,--end-group
$(BUILD)/tests/test_engine: $(BUILD)/libmscope_daemon.a

# This one sees whatever the engine's thread could wait for.
comma := ,
LINK_test_realtime = $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc mmap pthread_mutex_lock pthread_rwlock_rdlock \
                     pthread_rwlock_wrlock pthread_spin_lock pthread_cond_wait pthread_join open fsync nanosleep) \
                   -Wl,--start-group $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a -Wl,--end-group
$(BUILD)/tests/test_realtime: $(BUILD)/libmscope_daemon.a

# Its own table of claims, so not the registry: nothing else of the bench is named.
LINK_test_reproduce = $(BUILD)/libmscope_bench.a $(BUILD)/libmscope_host.a $(BUILD)/libmomentscope.a
$(BUILD)/tests/test_reproduce: $(BUILD)/libmscope_bench.a

# Of the bench the linker takes what the registry names: workloads and claims.
LINK_test_bench_models = $(BUILD)/libmscope_bench.a $(BUILD)/libmscope_host.a $(BUILD)/libmomentscope.a
LINK_test_trace = $(LINK_test_bench_models)
LINK_test_bench_theory = $(LINK_test_bench_models)
$(BUILD)/tests/test_bench_models $(BUILD)/tests/test_trace $(BUILD)/tests/test_bench_theory: $(BUILD)/libmscope_bench.a

$(BUILD)/libmscope_bench.a: $(call obj,$(filter-out host/cli/%,$(BENCH_SRC)))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/libmscope_daemon.a: $(call obj,$(filter-out %/main.c,$(DAEMON_SRC)))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

test: all tests ## run the tests on what is built (T=name filters)
	@BUILD=$(BUILD) PYTHON=$(PYTHON) tests/run $(T)

$(BUILD)/bench/text_omega: $(call obj,host/bench/text_omega.c host/demo/model.c host/demo/text.c) $(BUILD)/libmscope_host.a $(BUILD)/libmomentscope.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LDFLAGS) $(HOST_LIBS) $(ZMQ_LIBS) -lm

bench-text: $(BUILD)/bench/text_omega ## the probe's frequencies on real text against the rows' Hessians
	@$(BUILD)/bench/text_omega

PACKAGES = build-essential pkg-config libzmq3-dev libmsgpack-dev libsimde-dev libfftw3-dev \
           libgsl-dev libcjson-dev libcairo2-dev libcmocka-dev \
           python3-numpy python3-zmq python3-msgpack python3-torch

# Tests that need these are skipped without them; nothing else changes.
OPTIONAL = libopenmpi-dev openmpi-bin

deps-optional: ## install what some tests want, if it can be had
	@$(MAKE) deps PACKAGES="$(OPTIONAL)" || echo "going on without: $(OPTIONAL)"

deps: ## install the Debian packages that are missing (root or sudo)
	@missing=; for p in $(PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; \
	    SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	    $$SUDO apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    $$SUDO apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

check: deps deps-optional ## install what is missing, build, run every test
	@$(MAKE) -j2 all tests $(addprefix $(BUILD)/bench/,kernels step path publish)
	@$(MAKE) test

demo: deps ## daemon, trainer on real text and monitor, under a minute (TEXT=files to choose the text)
	@$(MAKE) -j2 all
	@BUILD=$(BUILD) TEXT="$(TEXT)" host/demo/run.sh

# -- the same tests under instruments ----------------------------------------------------
headers: ## every public header compiles alone, as C and as C++
	@for h in include/mscope/*.h; do \
	    echo "#include \"mscope/$$(basename $$h)\"" | $(CC) -std=c11 -Iinclude $(WARN) -Werror -fsyntax-only -x c - && \
	    echo "#include \"mscope/$$(basename $$h)\"" | $(CXX) -std=c++11 -Iinclude -Wall -Wextra -Werror -fsyntax-only -x c++ - \
	    || exit 1; done

asan: $(BUILD)/libmomentscope.so ## compiled tests and the daemon's under AddressSanitizer and UBSan
	@$(MAKE) -j2 all tests BUILD=$(BUILD)/asan OPT="-O1 -g" SAN="-fsanitize=address,undefined -fno-sanitize-recover=all"
	@MOMENTSCOPE_SANITIZED=1 MOMENTSCOPE_LIB=$(abspath $(BUILD)/libmomentscope.so) BUILD=$(BUILD)/asan PYTHON=$(PYTHON) tests/run test_advice test_verdict test_spectrum test_bench_models test_bench_theory test_c test_k test_t test_wire test_engine test_parallel test_daemon test_lane test_shards -check -torch -exact -_mc

tsan: ## what has threads under ThreadSanitizer
	@$(MAKE) -j2 all tests BUILD=$(BUILD)/tsan OPT="-O1 -g" SAN="-fsanitize=thread"
	@TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp halt_on_error=1" MOMENTSCOPE_SANITIZED=1 BUILD=$(BUILD)/tsan \
	    PYTHON=$(PYTHON) tests/run test_daemon test_engine test_client test_parallel

valgrind: all tests ## memory errors and leaks
	@MOMENTSCOPE_SANITIZED=1 BUILD=$(BUILD) PYTHON=$(PYTHON) \
	    WRAP="valgrind -q --error-exitcode=9 --leak-check=full" tests/run test_core test_kern test_wire test_engine test_client -.py

cppcheck: ## static analysis
	cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    -Iinclude -Ifirmware -Iprotocol -Ihost --suppress=missingIncludeSystem firmware protocol host

# -- other processors ---------------------------------------------------------------------
ARCH_PACKAGES = gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
           gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-i686-linux-gnu libc6-dev-i386-cross \
           gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm

check-arch: deps ## other processors, emulated: aarch64, armhf, i686, riscv64, s390x, Cortex-M7; the same bits (installs cross compilers)
	@$(MAKE) deps PACKAGES="$(ARCH_PACKAGES)" || echo "going on without some of: $(ARCH_PACKAGES)"
	@BUILD=$(BUILD) CC="$(CC)" tests/arch/run

# One build for another processor; tests/arch/run gives CC, CFLAGS and BUILD. Linked with nothing but its libc: the headers
# of SIMDe, msgpack-c and ZeroMQ serve every processor, cmocka has a stand-in, and no test here opens a socket.
ARCH_TESTS = test_kern test_core test_totals test_wire test_engine
ARCH_LINK  = -static -Wl,--unresolved-symbols=ignore-in-object-files
arch-build: $(addprefix $(BUILD)/arch/,$(ARCH_TESTS) digest)

$(BUILD)/arch/digest: $(call obj,tests/arch/digest.c tests/arch/cases.c) $(BUILD)/libmscope_core.a
	@mkdir -p $(@D)
	$(Q)$(CC) -static -o $@ $^ -lm

$(BUILD)/arch/test_%: $(BUILD)/obj/tests/test_%.o $(call obj,$(PROTO_SRC) $(THREADS_SRC)) $(BUILD)/libmscope_daemon.a $(BUILD)/libmscope_core.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ARCH_LINK) $(WRAP_test_$*) -o $@ $^ -lm -pthread

$(BUILD)/arch/m7.elf: $(call obj,tests/arch/m7/start.c tests/arch/m7/main.c tests/arch/cases.c) $(BUILD)/libmscope_core.a tests/arch/m7/m7.ld
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -nostartfiles -T tests/arch/m7/m7.ld -Wl,--gc-sections -o $@ $(filter-out %.ld,$^) -lm

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | sort | awk -F'\t' '{printf "  %-10s %s\n", $$1, $$2}'

clean: ## remove build output
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
