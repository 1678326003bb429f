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
BASE     = $(CSTD) $(OPT) $(WARN) $(SAN) $(FPU) $(EXPORTS) -ffp-contract=off -fPIC -MMD -MP -Iinclude $(CFLAGS)
PKG      = pkg-config
ZMQ_CFLAGS := $(shell $(PKG) --cflags libzmq 2>/dev/null)
ZMQ_LIBS    = $(shell $(PKG) --libs libzmq) -lmsgpackc
HOST_LIBS   = $(shell $(PKG) --libs gsl fftw3 libcjson)
CLI_LIBS    = $(shell $(PKG) --libs cairo fontconfig ncursesw libmicrohttpd sqlite3)
# MPI is optional: MPI=no builds without it, so does a machine that has none. Only momentscope_mpi.so needs it.
ifneq ($(MPI),no)
MPI_PC     := $(firstword $(foreach p,ompi-c mpich,$(shell $(PKG) --exists $(p) 2>/dev/null && echo $(p))))
MPI_LIBS   := $(if $(MPI_PC),$(shell $(PKG) --libs $(MPI_PC)),$(shell mpicc --showme:link 2>/dev/null))
FLAGS_host/bench/run/ranks_mpi := $(patsubst -I%,-isystem%,$(if $(MPI_PC),$(shell $(PKG) --cflags $(MPI_PC)),$(shell mpicc --showme:compile 2>/dev/null)))
endif

# -- rooms --------------------------------------------------------------------------------
# A room is a folder, and every .c in it is built. USES_room names the rooms whose headers it may include, as "room/file.h";
# no other room is on its include path, so a wrong include does not compile. tests/test_layers.py reads this table too.
ROOMS = firmware/core firmware/threads firmware/daemon protocol host/common host/theory host/client host/tape \
        host/nextword host/diagnose host/monitor host/terminal host/serve host/bench host/demo host/cli tests
USES_firmware/core    =
USES_firmware/threads =
USES_protocol         =
USES_firmware/daemon  = protocol firmware/core
USES_host/common      =
USES_host/theory      =
USES_host/client      = protocol
USES_host/tape      = protocol host/common
USES_host/nextword    = host/common
USES_host/diagnose    = host/theory host/common
USES_host/monitor     = host/diagnose host/common
USES_host/terminal    = host/monitor host/diagnose host/common
USES_host/serve       = host/theory host/diagnose host/monitor host/common
USES_host/bench       = firmware/core host/theory host/tape host/diagnose host/nextword host/common
USES_host/demo        = host/nextword host/common
USES_host/cli         = protocol host/theory host/tape host/diagnose host/monitor host/terminal host/serve host/bench host/common
USES_tests            = $(filter-out tests,$(ROOMS))

room_of  = $(firstword $(foreach r,$(ROOMS),$(if $(filter $(r)/%,$(1)),$(r))))
sources  = $(foreach r,$(1),$(wildcard $(r)/*.c $(r)/*/*.c))
obj      = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CORE_SRC = $(call sources,firmware/core)
LIB_SRC  = $(CORE_SRC) $(call sources,firmware/threads protocol host/client)
HOST_SRC = $(call sources,host/common host/tape host/nextword host/diagnose host/monitor host/terminal)
BENCH_SRC = $(filter-out %/ranks_mpi.c,$(call sources,host/bench))
TESTS    = $(patsubst tests/%.c,%,$(wildcard tests/test_*.c))
SPEED    = kernels step path publish soak
ifeq ($(ONLY_REF),1)  # for processors without vector units: the scalar kernel is all, and SIMDe is not needed
CORE_SRC := $(filter-out %v128.c %v256.c %v512.c,$(CORE_SRC))
FPU      += -DMSCOPE_ONLY_REF
endif
PROGRAMS = $(BUILD)/momentscoped $(BUILD)/momentscope $(BUILD)/demo_trainer $(if $(MPI_LIBS),$(BUILD)/momentscope_mpi.so)

# What goes into libmomentscope exports what MSCOPE_API marks; programs and tests link the archive and see the rest too.
$(call obj,$(LIB_SRC)): EXPORTS = -fvisibility=hidden

# -- flags of single files, by their path ----------------------------------------------------
DRAWING = $(shell $(PKG) --cflags cairo fontconfig)
FLAGS_host/cli/predict_plot = $(DRAWING)
FLAGS_host/bench/report/plot = $(DRAWING)
FLAGS_host/common/canvas = $(DRAWING)
FLAGS_host/monitor/plane = $(DRAWING)
FLAGS_host/serve/paper = $(DRAWING)
FLAGS_host/serve/paper_charts = $(DRAWING)
FLAGS_host/terminal/screen = $(shell $(PKG) --cflags ncursesw)
# The models on text and the powers of coupled maps are plain loop nests; nothing else is built for speed alone.
FLAGS_host/nextword/model = -O3
FLAGS_host/bench/workloads/bigram = -O3
FLAGS_host/bench/workloads/bigram_pairs = -O3
FLAGS_host/diagnose/risk = -O3

ifneq ($(V),1)
MAKEFLAGS += --no-print-directory
Q = @echo '  $@';
endif

.PHONY: all core daemon host tests test check check-web demo deps deps-optional help clean headers asan tsan valgrind cppcheck \
        install uninstall wheel mypy analyze analyze-tidy analyze-gcc analyze-parsers faults faults-kill soak crowd fuzz fuzz-build fuzz-coverage fuzz-model check-arch arch-build schema picture reproduce bench speed-page \
        $(addprefix bench-,bigram text soak verdicts conflict conflict-literal bounds advice walk ruin stability optim $(SPEED))
.DELETE_ON_ERROR:
.SECONDARY:                  # objects stay, also those that only a pattern rule names

all: $(BUILD)/libmomentscope.a $(BUILD)/libmomentscope.so $(PROGRAMS) ## build everything

core: $(BUILD)/libmscope_core.a ## build the freestanding core alone (needs neither libzmq nor FFTW)

daemon: $(BUILD)/momentscoped ## build the daemon

host: $(BUILD)/momentscope ## build the host program

# Per room a folder with links to the rooms that it may use.
$(BUILD)/see/made: Makefile
	@rm -rf $(@D) && $(foreach r,$(ROOMS),mkdir -p $(@D)/$(r) && ln -sr $(r) $(USES_$(r)) $(@D)/$(r) &&) touch $@

$(BUILD)/obj/%.o: %.c $(BUILD)/see/made
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) -I$(BUILD)/see/$(call room_of,$*) $(FLAGS_$*) $(ZMQ_CFLAGS) -c $< -o $@

# On x86 the wider twins need their instructions enabled, each for its one file (WIDE=0: do without); elsewhere SIMDe maps
# them. -O3 unrolls the few vectors of a block and moves what does not change out of the loops; bits do not depend on it, and
# where a width is made of plain C, or instrumented, it would take the compiler minutes.
WIDE ?= 1
UNROLL = $(if $(SAN),-O0,-O3)
ifneq ($(ONLY_REF),1)
FLAGS_firmware/core/kern_ref  = $(UNROLL)
FLAGS_firmware/core/apply     = $(UNROLL)
FLAGS_firmware/core/listed    = $(UNROLL)
endif
FLAGS_firmware/core/kern_v128 = $(if $(filter x86_64 i%86 aarch64,$(ARCH)),$(UNROLL),-O1)
FLAGS_firmware/core/kern_v256 = -O1
FLAGS_firmware/core/kern_v512 = -O1
ifneq ($(filter x86_64 i%86,$(ARCH)),)
FLAGS_firmware/core/kern_v128 += -Wno-psabi
FLAGS_firmware/core/kern_v256  = $(if $(filter 1,$(WIDE)),$(UNROLL) -mavx2 -mfma,-O1 -Wno-psabi)
FLAGS_firmware/core/kern_v512  = $(if $(filter 1,$(WIDE)),$(UNROLL) -mavx512f,-O1 -Wno-psabi)
endif

# -- libraries and programs ------------------------------------------------------------------
SERVE_LIB = $(BUILD)/libmscope_serve.a
HOST_LIB  = $(addprefix $(BUILD)/,libmscope_host.a libmscope_theory.a libmomentscope.a)
link      = @mkdir -p $(@D); echo '  $@'; $(CC) $(SAN) -o $@ $(filter %.o %.a,$^) $(LDFLAGS) $(1) -lm -pthread
ifeq ($(V),1)
link      = @mkdir -p $(@D); set -x; $(CC) $(SAN) -o $@ $(filter %.o %.a,$^) $(LDFLAGS) $(1) -lm -pthread
endif

$(BUILD)/libmscope_core.a: $(call obj,$(CORE_SRC))
$(BUILD)/libmomentscope.a: $(call obj,$(LIB_SRC))
$(BUILD)/libmscope_theory.a: $(call obj,$(call sources,host/theory))
$(BUILD)/libmscope_host.a: $(call obj,$(HOST_SRC))
$(BUILD)/libmscope_serve.a: $(call obj,$(call sources,host/serve))
$(BUILD)/libmscope_bench.a: $(call obj,$(BENCH_SRC))
$(BUILD)/libmscope_daemon.a: $(call obj,$(filter-out %/main.c,$(call sources,firmware/daemon)))
$(BUILD)/lib%.a:
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# What programs bind to is what MSCOPE_API marks, with a version: a later library that changes a call can keep the old one
# beside it. A name that is marked and not defined fails the link.
MAP   = $(BUILD)/libmomentscope.map
NAMES = -Wl,--version-script,$(MAP) -Wl,--no-undefined-version
$(MAP): $(wildcard include/mscope/*.h) Makefile
	@mkdir -p $(@D) && { echo 'MOMENTSCOPE_0 {'; echo '    global:'; \
	    sed -n '/^MSCOPE_API/s/^[^([]*\b\(mscope_[a-z0-9_]*\)[ ([].*/        \1;/p' include/mscope/*.h; \
	    echo '    local: *;'; echo '};'; } >$@

# The library's interface has number 0 until the first release that promises one.
VERSION := $(shell sed -n 's/^.define MSCOPE_VERSION "\([^"]*\)".*/\1/p' include/mscope/wire.h)
$(BUILD)/libmomentscope.so.$(VERSION): $(call obj,$(LIB_SRC)) $(MAP)
	$(Q)$(CC) $(SAN) -shared -Wl,-soname,libmomentscope.so.0 $(NAMES) -o $@ $(filter %.o,$^) $(LDFLAGS) $(ZMQ_LIBS) -lm -pthread
$(BUILD)/libmomentscope.so.0 $(BUILD)/libmomentscope.so: $(BUILD)/libmomentscope.so.$(VERSION)
	@ln -sf $(<F) $@
$(BUILD)/libmomentscope.so: $(BUILD)/libmomentscope.so.0

$(BUILD)/momentscoped: $(call obj,firmware/daemon/main.c) $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a
	$(call link,$(ZMQ_LIBS))

$(BUILD)/momentscope: $(call obj,$(call sources,host/cli)) $(SERVE_LIB) $(BUILD)/libmscope_bench.a $(HOST_LIB)
	$(call link,$(CLI_LIBS) $(HOST_LIBS) $(ZMQ_LIBS) -ldl)

$(BUILD)/momentscope_mpi.so: $(call obj,host/bench/run/ranks_mpi.c)
	$(Q)$(CC) $(SAN) -shared -o $@ $^ $(LDFLAGS) $(MPI_LIBS)

$(BUILD)/demo_trainer: $(call obj,$(call sources,host/demo)) $(HOST_LIB)
	$(call link,$(ZMQ_LIBS))

# -- installation ----------------------------------------------------------------------------
# DESTDIR goes before every path when files are put in place, and into none of them.
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
LIBDIR  ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PRIVATE  = $(PREFIX)/lib/momentscope
INSTALL  = install
SHARED   = libmomentscope.so.$(VERSION) libmomentscope.so.0 libmomentscope.so
ARCHIVES = libmomentscope.a libmscope_core.a libmscope_theory.a
HEADERS  = $(notdir $(wildcard include/mscope/*))

# name: what it is | Libs | Requires | Requires.private | Libs.private, the last two for static links
PC_momentscope        = attach a training loop, or listen | -lmomentscope | | libzmq | -lmsgpackc -lm -pthread
PC_momentscope-core   = SGD with momentum for sparse rows, freestanding | -lmscope_core -lm | | |
PC_momentscope-theory = exact theory of SGD with sparse momentum | -lmscope_theory -lm | gsl | |
PCS      = momentscope momentscope-core momentscope-theory
pc_part  = $(strip $(shell echo '$(PC_$(1))' | cut -d'|' -f$(2)))

INSTALLED = $(addprefix $(BINDIR)/,momentscope momentscoped) $(addprefix $(LIBDIR)/,$(SHARED) $(ARCHIVES)) \
            $(addprefix $(INCLUDEDIR)/mscope/,$(HEADERS)) $(PCS:%=$(LIBDIR)/pkgconfig/%.pc) $(PRIVATE)/momentscope_mpi.so

include host/install/install.mk

install: all $(BUILD)/libmscope_core.a install-man install-completion install-units install-demo install-doc ## programs, libraries, headers, pages (PREFIX=/usr/local, DESTDIR=)
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR)/mscope)
	@$(INSTALL) $(addprefix $(BUILD)/,momentscope momentscoped) $(DESTDIR)$(BINDIR)
	@$(INSTALL) -m 644 $(addprefix include/mscope/,$(HEADERS)) $(DESTDIR)$(INCLUDEDIR)/mscope
	@$(INSTALL) -m 644 $(addprefix $(BUILD)/,$(ARCHIVES) libmomentscope.so.$(VERSION)) $(DESTDIR)$(LIBDIR)
	@ln -sf libmomentscope.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libmomentscope.so.0
	@ln -sf libmomentscope.so.0 $(DESTDIR)$(LIBDIR)/libmomentscope.so
ifneq ($(MPI_LIBS),)
	@$(INSTALL) -d $(DESTDIR)$(PRIVATE) && $(INSTALL) -m 644 $(BUILD)/momentscope_mpi.so $(DESTDIR)$(PRIVATE)
endif
	@$(foreach n,$(PCS),printf '%s\n' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: $(n)' \
	    'Description: $(call pc_part,$(n),1)' 'Version: $(VERSION)' 'Cflags: -I$${includedir}' \
	    'Libs: -L$${libdir} $(call pc_part,$(n),2)' 'Requires: $(call pc_part,$(n),3)' \
	    'Requires.private: $(call pc_part,$(n),4)' 'Libs.private: $(call pc_part,$(n),5)' \
	    >$(DESTDIR)$(LIBDIR)/pkgconfig/$(n).pc &&) true
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || true

uninstall: ## remove what install put there, with the same PREFIX and DESTDIR
	@rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@rmdir $(addprefix $(DESTDIR),$(INCLUDEDIR)/mscope $(PRIVATE)) 2>/dev/null || true
	@find $(DESTDIR)$(DOCDIR) -depth -type d -empty -delete 2>/dev/null || true

# -- the Python package ----------------------------------------------------------------------
wheel: $(BUILD)/libmomentscope.so $(BUILD)/momentscoped ## a wheel in build/: the package with library and daemon; needs no network
	@BUILD=$(BUILD) $(PYTHON) host/python/packaging/wheelbuild.py $(BUILD)

mypy: ## types of the Python package
	@cd host/python && mypy --cache-dir=$(abspath $(BUILD))/mypy && mypy --cache-dir=$(abspath $(BUILD))/mypy packaging/wheelbuild.py

# -- the page of `momentscope serve` -----------------------------------------------------------
# Scripts are laid end to end, the chart library first, and put into the program (host/serve/page.c). npm only fetches that
# library, by the lock file; without npm the page says that its charts over time are missing, and all else works.
PAGE    = $(BUILD)/page
NPM_DIR = build/npm
UPLOT   = $(NPM_DIR)/node_modules/uplot
PAGE_JS = $(addprefix host/page/,dom.js words.js store.js verdict.js plane.js bands.js charts.js timeline.js counsel.js daemon.js page.js)
FLAGS_host/serve/page = -DMSCOPE_PAGE_DIR='"$(abspath $(PAGE))"'
$(call obj,host/serve/page.c): $(addprefix $(PAGE)/,page.html page.css page.js icon.svg licences.txt)

.PHONY: again
$(NPM_DIR)/uplot.js: host/page/package.json host/page/package-lock.json $(shell grep -ls '^/. no uPlot' $(NPM_DIR)/uplot.js | sed 's/.*/again/')
	@mkdir -p $(NPM_DIR) && cp host/page/package.json host/page/package-lock.json $(NPM_DIR)/
	@if command -v npm >/dev/null && (cd $(NPM_DIR) && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1); then \
	    { printf '/* uPlot, '; sed -n 's/.*"version": "\(.*\)".*/\1/p' $(UPLOT)/package.json | head -1; cat $(UPLOT)/LICENSE; \
	      printf '*/\n'; cat $(UPLOT)/dist/uPlot.iife.min.js; } >$@ && cp $(UPLOT)/dist/uPlot.min.css $(NPM_DIR)/uplot.css && \
	    { echo "uPlot (charts over time)"; echo; cat $(UPLOT)/LICENSE; } >$(NPM_DIR)/licences.txt; \
	else echo "  without charts over time in the page: npm is missing, or could not fetch uPlot"; \
	    echo '/* no uPlot */' >$@; : >$(NPM_DIR)/uplot.css; echo "no other program is inside" >$(NPM_DIR)/licences.txt; fi

$(PAGE)/page.js: $(NPM_DIR)/uplot.js $(PAGE_JS)
	@mkdir -p $(@D)
	$(Q){ cat $(NPM_DIR)/uplot.js; printf '(function () {\n"use strict";\n'; cat $(PAGE_JS); echo '}());'; } >$@
$(PAGE)/page.css: $(NPM_DIR)/uplot.js host/page/page.css
	@mkdir -p $(@D) && cat $(NPM_DIR)/uplot.css host/page/page.css >$@
$(PAGE)/licences.txt: $(NPM_DIR)/uplot.js
	@mkdir -p $(@D) && cp $(NPM_DIR)/licences.txt $@
$(PAGE)/%: host/page/%
	@mkdir -p $(@D) && cp $< $@

# -- tests -----------------------------------------------------------------------------------
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(HOST_LIB)
	$(call link,$(LINK_$*) -lcmocka $(HOST_LIBS) $(ZMQ_LIBS))

tests: $(BUILD)/libmscope_core.a $(addprefix $(BUILD)/tests/,$(TESTS)) $(addprefix $(BUILD)/accuracy/,verdicts literal)

# The engine's tests see every allocation of ours, and whatever the engine's thread could wait for.
DAEMON_LIB = -Wl,--start-group $(BUILD)/libmscope_daemon.a $(BUILD)/libmomentscope.a -Wl,--end-group
comma := ,
WRAP_test_engine = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=mmap
WRAP_test_realtime = $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc mmap pthread_mutex_lock pthread_rwlock_rdlock \
                     pthread_rwlock_wrlock pthread_spin_lock pthread_cond_wait pthread_join open fsync nanosleep)
# The probe allocates when it is opened, and never again.
LINK_test_client_probe = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
LINK_test_engine = $(WRAP_test_engine) $(DAEMON_LIB)
LINK_test_realtime = $(WRAP_test_realtime) $(DAEMON_LIB)
LINK_test_growth = $(DAEMON_LIB)
LINK_test_climb = $(DAEMON_LIB)
LINK_test_agreement = $(DAEMON_LIB)
$(addprefix $(BUILD)/tests/,test_engine test_realtime test_growth test_climb test_agreement): $(BUILD)/libmscope_daemon.a

# Linking the registry pulls in every workload and claim.
WITH_BENCH = test_bench_models test_bench_pairs test_bench_squares test_bench_theory test_recording test_reproduce
$(foreach t,$(WITH_BENCH),$(eval LINK_$(t) = $(BUILD)/libmscope_bench.a $(HOST_LIB)))
$(addprefix $(BUILD)/tests/,$(WITH_BENCH)): $(BUILD)/libmscope_bench.a
$(BUILD)/tests/test_reproduce: $(call obj,host/cli/bench_reproduce.c)

test: all tests ## run the tests on what is built (T=name filters)
	@BUILD=$(BUILD) PYTHON=$(PYTHON) tests/run $(T)

# -- the page in a real browser ------------------------------------------------------------------
WEB_PACKAGES = chromium fonts-dejavu-core python3-zmq python3-msgpack

build/web/node_modules/made: tests/web/package.json tests/web/package-lock.json
	@mkdir -p build/web && cp tests/web/package.json tests/web/package-lock.json build/web/
	@cd build/web && npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1 && touch node_modules/made

check-web: all ## the page in headless Chromium: first paint, live, keyboard, axe, 360 px to 4k, daemon killed (PICTURES=DIR)
	@$(MAKE) deps PACKAGES="$(WEB_PACKAGES)" COMMANDS="npm node"
	@$(MAKE) build/web/node_modules/made
	@BUILD=$(BUILD) PYTHON=$(PYTHON) PICTURES="$(PICTURES)" node tests/web/check.cjs $(W)

# -- accuracy: what the monitor says, against the truth -----------------------------------------
$(BUILD)/accuracy/%: $(BUILD)/obj/tests/accuracy/%.o $(HOST_LIB)
	$(call link,$(HOST_LIBS) $(ZMQ_LIBS))
$(BUILD)/accuracy/verdicts: $(call obj,tests/accuracy/verdicts_sim.c)
$(BUILD)/accuracy/conflict $(BUILD)/accuracy/conflict_literal $(BUILD)/accuracy/advice: $(call obj,tests/accuracy/zipf.c)

$(BUILD)/accuracy/bounds: $(call obj,tests/accuracy/bounds.c) $(BUILD)/libmscope_bench.a $(HOST_LIB)
	$(call link,$(HOST_LIBS) $(ZMQ_LIBS))

bench-verdicts: all $(BUILD)/accuracy/verdicts ## verdicts on random bands through a real daemon: confusion matrices, two minutes
	@BUILD=$(BUILD) $(BUILD)/accuracy/verdicts; met=$$?; echo; BUILD=$(BUILD) $(BUILD)/accuracy/verdicts --balanced --bands 480; exit $$met

bench-conflict: $(BUILD)/accuracy/conflict ## C* against the true gain of a beta for each band, 96 vocabularies, two minutes
	@$(BUILD)/accuracy/conflict

bench-conflict-literal: $(BUILD)/accuracy/conflict_literal ## the conflict flag from measured bands against gains found by literal simulation, minutes (CONFLICT=options)
	@$(BUILD)/accuracy/conflict_literal $(CONFLICT)

bench-bounds: $(BUILD)/accuracy/bounds ## bounds against literal simulation, ten settings each, a minute (BOUNDS=options)
	@$(BUILD)/accuracy/bounds $(BOUNDS)

bench-advice: $(BUILD)/accuracy/advice ## advised settings against a sweep, by exact propagation and by sampling, minutes
	@$(BUILD)/accuracy/advice

bench-walk: all $(BUILD)/accuracy/literal ## the first stage of the advice against leaving things alone, 30 vocabularies (WALK=options)
	@BUILD=$(BUILD) OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 \
	 $(PYTHON) tests/accuracy/walk/walk.py $(WALK)

.PHONY: bench-retrain
bench-retrain: all ## advice and follow() on six small models that are trained again, against a sweep (RETRAIN=options)
	@BUILD=$(BUILD) OMP_NUM_THREADS=1 $(PYTHON) -W ignore tests/accuracy/retrain/retrain.py $(RETRAIN)

.PHONY: bench-stages
bench-stages: all $(BUILD)/accuracy/literal ## several stages of the advice on end against leaving things alone (STAGES=options)
	@BUILD=$(BUILD) OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 \
	 $(PYTHON) tests/accuracy/walk/stages.py $(STAGES)

bench-optim: all ## momentscope.optim.SGD against torch.optim.SGD over 10,000 steps in 15 configurations, minutes
	@BUILD=$(BUILD) OMP_NUM_THREADS=1 $(PYTHON) tests/accuracy/optim.py

bench-text: $(BUILD)/accuracy/text_omega ## the probe's frequencies on real text against the rows' Hessians
	@$(BUILD)/accuracy/text_omega

bench-ruin: all ## seven networks trained into ruin: alerts before it, and in good runs (RUIN=options), eight minutes
	@BUILD=$(BUILD) OMP_NUM_THREADS=1 $(PYTHON) tests/accuracy/ruin.py $(RUIN)

bench-stability: all ## H of gated rows, bags of words and networks against their true limits (STABILITY=options)
	@BUILD=$(BUILD) OMP_NUM_THREADS=1 $(PYTHON) tests/accuracy/stability/judge.py $(STABILITY)

reproduce: all ## the papers' claims: their number, ours, PASS, FAIL or CORRECTED; minutes; fails if one cannot be computed
	@$(BUILD)/momentscope bench reproduce --jobs 2

bench-bigram: all ## the full-size bigram protocol on real text, resumable; host/bench/bigram.sh has its settings
	@BUILD=$(BUILD) host/bench/bigram.sh

# -- speed: ratios inside one run ---------------------------------------------------------------
bench: ## every speed bench in one table, ratios of one run, JSON beside it; up to ten minutes on an idle machine (B=name filters)
	@$(MAKE) deps || echo "going on without what could not be installed"
	@$(MAKE) -j2 all $(addprefix $(BUILD)/speed/,$(filter-out soak,$(SPEED)))
	@BUILD=$(BUILD) PYTHON=$(PYTHON) $(PYTHON) tests/speed/run $(B)

speed-page: ## tests/speed/README.md from the results of the last `make bench`
	@BUILD=$(BUILD) $(PYTHON) tests/speed/run --markdown > $(BUILD)/speed/page.md && mv $(BUILD)/speed/page.md tests/speed/README.md

$(BUILD)/speed/%: $(BUILD)/obj/tests/speed/%.o $(BUILD)/libmomentscope.a
	$(call link,$(LINK_$*) -lcmocka $(ZMQ_LIBS))
LINK_path = -Wl,--wrap=mscope_engine_message $(DAEMON_LIB)
LINK_publish = $(DAEMON_LIB)
$(BUILD)/speed/path: $(call obj,tests/speed/path_daemon.c tests/speed/path_latency.c) $(BUILD)/libmscope_daemon.a
$(BUILD)/speed/publish: $(BUILD)/libmscope_daemon.a

bench-step: $(BUILD)/speed/step ## the core's own costs: bookkeeping of a row, of a step, two threads, memory, resum; JSON
bench-kernels: $(BUILD)/speed/kernels ## row kernels against a loop that only moves their bytes, a minute; JSON
bench-path: $(BUILD)/speed/path ## from trainer to applied row and published record, against raw libzmq in the same run; JSON
bench-publish: $(BUILD)/speed/publish ## what a publication of 64 bands over 1 M rows costs, and its longest piece
bench-step bench-kernels bench-path bench-publish:
	@$<

SOAK ?= --steps 1000000 --rows 1024 --dim 4 --active 16 -- --log-level warn --max-tables 1 --replay-bytes 64K
bench-soak: $(BUILD)/speed/soak $(BUILD)/momentscoped ## a daemon's memory over a million steps, and its idle cost (SOAK=options)
	@BUILD=$(BUILD) $(BUILD)/speed/soak $(SOAK)

# -- what a machine needs ------------------------------------------------------------------------
PACKAGES = build-essential pkg-config libzmq3-dev libmsgpack-dev libsimde-dev libfftw3-dev \
           libgsl-dev libcjson-dev libcairo2-dev libncurses-dev libcmocka-dev libmicrohttpd-dev libsqlite3-dev scdoc \
           python3-numpy python3-zmq python3-msgpack python3-torch python3-venv

# Commands that a machine may have from elsewhere than Debian's package of that name.
COMMANDS = npm

# Tests that need these are skipped without them; nothing else changes.
OPTIONAL = libopenmpi-dev openmpi-bin tmux prometheus python3-jsonschema

deps-optional: ## install what some tests want, if it can be had
	@$(MAKE) deps PACKAGES="$(OPTIONAL)" COMMANDS= || echo "going on without: $(OPTIONAL)"

deps: ## install the Debian packages that are missing (root or sudo)
	@missing=; for p in $(PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; \
	    SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; \
	    $$SUDO apt-get update -qq && $$SUDO env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
	    apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
	@for c in $(COMMANDS); do command -v $$c >/dev/null || $(MAKE) deps PACKAGES=$$c COMMANDS= || \
	    echo "going on without $$c"; done

check: deps deps-optional ## install what is missing, build, run every test
	@$(MAKE) -j2 all tests $(addprefix $(BUILD)/speed/,$(SPEED))
	@$(MAKE) test

demo: deps ## daemon, trainer on real text and monitor, under a minute (TEXT=files to choose the text)
	@$(MAKE) -j2 all
	@BUILD=$(BUILD) TEXT="$(TEXT)" host/demo/run.sh

picture: all ## remake host/bands.svg, the picture of README, by a run of the demo
	@BUILD=$(BUILD) PLOT=host/bands.svg host/demo/run.sh

# -- the same tests under instruments ----------------------------------------------------
headers: ## every public header compiles alone, as C and as C++
	@for h in include/mscope/*.h; do \
	    echo "#include \"mscope/$$(basename $$h)\"" | $(CC) -std=c11 -Iinclude $(WARN) -Werror -fsyntax-only -x c - && \
	    echo "#include \"mscope/$$(basename $$h)\"" | $(CXX) -std=c++11 -Iinclude -Wall -Wextra -Werror -fsyntax-only -x c++ - \
	    || exit 1; done

asan: $(BUILD)/libmomentscope.so ## compiled tests and the daemon's under AddressSanitizer and UBSan
	@$(MAKE) -j2 all tests BUILD=$(BUILD)/asan OPT="-O1 -g" SAN="-fsanitize=address,undefined -fno-sanitize-recover=all"
	@LSAN_OPTIONS="suppressions=$(CURDIR)/tests/lsan.supp print_suppressions=0" MOMENTSCOPE_SANITIZED=1 \
	    MOMENTSCOPE_LIB=$(abspath $(BUILD)/libmomentscope.so) BUILD=$(BUILD)/asan PYTHON=$(PYTHON) tests/run test_whole test_options test_monitor test_advice test_stage test_agreement test_verdict test_spectrum test_bench_models test_bench_theory test_c test_k test_t test_wire test_engine test_parallel test_daemon test_shm test_shards -check -torch -exact -_mc

tsan: ## what has threads under ThreadSanitizer
	@$(MAKE) -j2 all tests BUILD=$(BUILD)/tsan OPT="-O1 -g" SAN="-fsanitize=thread"
	@TSAN_OPTIONS="suppressions=$(CURDIR)/tests/tsan.supp halt_on_error=1" MOMENTSCOPE_SANITIZED=1 BUILD=$(BUILD)/tsan \
	    PYTHON=$(PYTHON) tests/run test_daemon test_engine test_client test_parallel -client_probe

valgrind: all tests ## memory errors and leaks
	@MOMENTSCOPE_SANITIZED=1 BUILD=$(BUILD) PYTHON=$(PYTHON) \
	    WRAP="valgrind -q --error-exitcode=9 --leak-check=full" tests/run test_core test_kern test_wire test_engine test_client -.py

# -- faults -------------------------------------------------------------------------------------
FAULT_RIG = all $(BUILD)/faults/trainer $(BUILD)/faults/clock.so
faults: $(FAULT_RIG) ## random faults around a trainer and a daemon, replayable (FAULTS=options, --schedules 20)
	@BUILD=$(BUILD) $(PYTHON) tests/faults/rig.py $(FAULTS)

faults-kill: $(FAULT_RIG) ## kill -9 of the daemon under load, its state and what heals it checked each time (KILLS=options, --kills 20)
	@BUILD=$(BUILD) $(PYTHON) tests/faults/kills.py $(KILLS)

$(BUILD)/faults/clock.so: tests/faults/clock.c
	@mkdir -p $(@D); echo '  $@'; $(CC) $(CFLAGS) $(WARN) -shared -fPIC -o $@ $<

soak: all $(BUILD)/faults/pusher $(BUILD)/faults/listener ## a daemon and its neighbours at full speed for T=7200 seconds; does anything grow?
	@BUILD=$(BUILD) $(PYTHON) tests/faults/soak.py --seconds $(or $(T),7200) --out $(BUILD)/soak.jsonl

crowd: all $(BUILD)/faults/pusher $(BUILD)/faults/listener ## 64 trainers, 1,000 tables and subscribers, floods, storms, garbage (CROWD=options)
	@BUILD=$(BUILD) $(PYTHON) tests/faults/crowd.py $(CROWD)

$(BUILD)/faults/pusher $(BUILD)/faults/listener: $(BUILD)/faults/%: $(BUILD)/obj/tests/faults/%.o $(BUILD)/obj/tests/faults/times.o $(BUILD)/libmomentscope.a
	$(call link,$(ZMQ_LIBS))

$(BUILD)/faults/trainer: $(call obj,$(addprefix tests/faults/,trainer.c table.c times.c)) $(BUILD)/libmomentscope.a
	$(call link,$(ZMQ_LIBS))

# -- fuzzing ------------------------------------------------------------------------------------
# One libFuzzer program for each tests/fuzz/NAME.c, everything in it instrumented; tests/fuzz/run starts from the golden messages.
# FAST=1 does without the hooks at comparisons: half as many executions again, for corpora that are grown. F, ROUNDS and T make a
# campaign: make fuzz FAST=1 T=120 ROUNDS=50 counts the executions of all its rounds in build/fuzz-fast/totals.
FUZZERS   = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_DIR  = $(BUILD)/fuzz$(if $(FAST),-fast)
FUZZ_SAN  = address,undefined -fno-sanitize-recover=all
fuzz: ## every parser and a whole engine under libFuzzer, T=30 seconds each, F=names, ROUNDS=1 of all, FAST=1; needs clang
	@$(MAKE) -j2 fuzz-build BUILD=$(FUZZ_DIR) CC=clang OPT="-O2 -g" FUZZERS="$(or $(F),$(FUZZERS))" \
	    SAN="-fsanitize=fuzzer-no-link,$(FUZZ_SAN) $(if $(FAST),-fno-sanitize-coverage=trace-cmp)"
	@BUILD=$(FUZZ_DIR) CORPUS=$(BUILD)/fuzz/corpus ROUNDS=$(or $(ROUNDS),1) JOBS=$(or $(JOBS),2) \
	    tests/fuzz/run $(or $(T),30) $(or $(F),$(FUZZERS))

# Which lines of the parsers all fuzzers together reach, in T seconds each and by the inputs that earlier runs kept.
REACHED  = $(filter-out $(addprefix protocol/,standard.c $(addprefix meet/,bind.c flock.c owner.c)) \
           $(addprefix host/tape/,answer.c front.c relay.c relay_tape.c tape_write.c),$(PARSERS)) \
           $(addprefix host/,client/rates.c client/sequence.c common/json.c common/line.c serve/question.c serve/guard.c monitor/record_parse.c bench/report/results.c cli/predict_json.c)
COVERED  = -fprofile-instr-generate -fcoverage-mapping
fuzz-coverage: ## how much of each parser the fuzzers reach, T=10 seconds each; needs clang and llvm
	@rm -rf $(BUILD)/fuzz-coverage/profile
	@$(MAKE) -j2 fuzz-build BUILD=$(BUILD)/fuzz-coverage CC=clang OPT="-O1" FUZZERS="$(FUZZERS)" FUZZ_SAN="address $(COVERED)" \
	    SAN="-fsanitize=fuzzer-no-link,address $(COVERED)"
	@BUILD=$(BUILD)/fuzz-coverage CORPUS=$(BUILD)/fuzz/corpus LLVM_PROFILE_FILE=$(BUILD)/fuzz-coverage/profile/%p.profraw \
	    tests/fuzz/run $(or $(T),10) $(FUZZERS)
	@cd $(BUILD)/fuzz-coverage && llvm-profdata merge -o profile/all $$(ls profile/*.profraw)
	@llvm-cov report -instr-profile $(BUILD)/fuzz-coverage/profile/all -show-branch-summary=0 -show-region-summary=0 \
	    $(BUILD)/fuzz-coverage/fuzz_engine $(patsubst %,-object $(BUILD)/fuzz-coverage/fuzz_%,$(FUZZERS)) $(sort $(REACHED))

# Without instruments: a thousand times the sequences.
fuzz-model: $(BUILD)/fuzz_random_model ## random message sequences beside dense heavy ball, T=60 seconds, S=seed
	@$< $(or $(T),60) $(or $(S),1)

$(BUILD)/fuzz_random_%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/random/drive.o $(BUILD)/libmscope_daemon.a \
                        $(BUILD)/libmomentscope.a
	$(call link,$(ZMQ_LIBS))

fuzz-build: $(addprefix $(BUILD)/fuzz_,$(FUZZERS))

FUZZ_LIBS = -Wl,--start-group $(addprefix $(BUILD)/libmscope_,daemon.a serve.a bench.a host.a theory.a) \
            $(BUILD)/libmomentscope.a -Wl,--end-group
$(BUILD)/fuzz_%: $(BUILD)/obj/tests/fuzz/%.o $(call obj,$(filter-out %/main.c,$(call sources,host/cli))) \
                 $(addprefix $(BUILD)/libmscope_,daemon.a serve.a bench.a host.a theory.a) $(BUILD)/libmomentscope.a
	@echo '  $@'; $(CC) -fsanitize=fuzzer,$(FUZZ_SAN) -o $@ $(BUILD)/obj/tests/fuzz/$*.o \
	    $(if $(filter predict views advise commands,$*),$(filter $(BUILD)/obj/host/cli/%.o,$^)) \
	    $(FUZZ_LIBS) $(CLI_LIBS) $(HOST_LIBS) $(ZMQ_LIBS) -lm -ldl -pthread

cppcheck: ## static analysis
	cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    -Iinclude -Ifirmware -Ihost -I. --suppress=missingIncludeSystem firmware protocol host

# Two that find bugs by following paths through the code. A file that is clean is looked at again when it, or a header of
# it, has changed. A finding is an error. What `analyze-parsers` looks at is what reads bytes of others.
# Left out: kern_v256 and kern_v512, which are kern_v128 with wider vectors; tests; bench and theory, whose numbers nobody sends.
ANALYZED = $(filter-out %/kern_v256.c %/kern_v512.c,$(call sources,$(filter-out tests host/bench host/theory,$(ROOMS))))
PARSERS  = $(filter-out %/err.c,$(call sources,protocol)) $(addprefix firmware/daemon/,zmtp.c messages.c inbox.c steps.c replay.c \
           restore.c image.c store.c mapped.c shm.c labels.c options.c verify.c) \
           $(addprefix host/client/,subscribe.c dialog.c shm.c) $(call sources,host/tape) host/common/options.c
TIDY    ?= clang-tidy
GCC     ?= gcc
SEEN     = $(BASE) -I$(BUILD)/see/$(call room_of,$*) $(FLAGS_$*) $(ZMQ_CFLAGS)
$(BUILD)/tidy/%: %.c $(BUILD)/obj/%.o .clang-tidy
	@mkdir -p $(@D)
	$(Q)$(TIDY) --quiet --warnings-as-errors='*' $< -- $(SEEN) && touch $@
$(BUILD)/analyzed/%: %.c $(BUILD)/obj/%.o
	@mkdir -p $(@D)
	$(Q)$(GCC) -fanalyzer $(ANALYZER) -Werror $(SEEN) -c $< -o $@.o && mv $@.o $@
ANALYZER =

analyze: analyze-tidy analyze-gcc ## clang-tidy (.clang-tidy has the checks) and gcc -fanalyzer over every file
analyze-tidy: $(patsubst %.c,$(BUILD)/tidy/%,$(ANALYZED))
analyze-gcc: $(patsubst %.c,$(BUILD)/analyzed/%,$(ANALYZED))
analyze-parsers: $(patsubst %.c,$(BUILD)/analyzed/%,$(PARSERS)) ## gcc -fanalyzer over what reads the bytes of others

# -- other processors ---------------------------------------------------------------------
ARCH_PACKAGES = gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
           gcc-riscv64-linux-gnu libc6-dev-riscv64-cross gcc-i686-linux-gnu libc6-dev-i386-cross \
           gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm

check-arch: deps ## other processors, emulated: aarch64, armhf, i686, riscv64, s390x, Cortex-M7; the same bits (installs cross compilers)
	@$(MAKE) deps PACKAGES="$(ARCH_PACKAGES)" COMMANDS= || echo "going on without some of: $(ARCH_PACKAGES)"
	@BUILD=$(BUILD) CC="$(CC)" tests/arch/run

# One build for another processor; tests/arch/run gives CC, CFLAGS and BUILD. Linked with nothing but its libc: the headers
# of SIMDe, msgpack-c and ZeroMQ serve every processor, cmocka has a stand-in, and no test here opens a socket.
ARCH_TESTS = test_kern test_core test_totals test_wire test_engine
ARCH_LINK  = -static -Wl,--unresolved-symbols=ignore-in-object-files
arch-build: $(addprefix $(BUILD)/arch/,$(ARCH_TESTS) digest)

$(BUILD)/arch/digest: $(call obj,tests/arch/digest.c tests/arch/cases.c) $(BUILD)/libmscope_core.a
	@mkdir -p $(@D)
	$(Q)$(CC) -static -o $@ $^ -lm

$(BUILD)/arch/test_%: $(BUILD)/obj/tests/test_%.o $(call obj,$(call sources,protocol firmware/threads)) $(BUILD)/libmscope_daemon.a $(BUILD)/libmscope_core.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ARCH_LINK) $(WRAP_test_$*) -o $@ $^ -lm -pthread

$(BUILD)/arch/m7.elf: $(call obj,tests/arch/m7/start.c tests/arch/m7/main.c tests/arch/cases.c) $(BUILD)/libmscope_core.a tests/arch/m7/m7.ld
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -nostartfiles -T tests/arch/m7/m7.ld -Wl,--gc-sections -o $@ $(filter-out %.ld,$^) -lm

schema: ## remake protocol/telemetry.cddl and the golden messages from metrics.def and tests/e2e
	@$(PYTHON) tests/e2e/schema.py >$(BUILD)/telemetry.cddl && mv $(BUILD)/telemetry.cddl protocol/telemetry.cddl
	@$(PYTHON) tests/e2e/golden.py

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | sort | awk -F'\t' '{printf "  %-10s %s\n", $$1, $$2}'

clean: ## remove build output
	rm -rf $(BUILD)

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
