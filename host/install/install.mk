# install.mk - manual pages, completions and units: made from what --help of the built programs says, and installed
#
# DESTDIR and PREFIX are those of the Makefile, which includes this file.

MANDIR     ?= $(PREFIX)/share/man
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions
FISHDIR    ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR    ?= $(PREFIX)/lib/systemd/system
USERUNITDIR ?= $(PREFIX)/lib/systemd/user
DOCDIR     ?= $(PREFIX)/share/doc/momentscope
PYTHONDIR  ?= $(PREFIX)/lib/python3/dist-packages
SYSUSERS   ?= $(PREFIX)/lib/sysusers.d
TMPFILES   ?= $(PREFIX)/lib/tmpfiles.d
SYSCONFDIR ?= /etc
INSTALL_PY  = $(wildcard host/install/*.py)

.PHONY: man completion deb check-deb check-boot $(addprefix install-,man completion units demo doc python)

man: $(BUILD)/man/made
completion: $(BUILD)/completion/made

# A hyphen in a page is the character that a shell wants, also where groff would print another one; a line that begins
# with ' is no request.
$(BUILD)/man/made: $(BUILD)/momentscope $(BUILD)/momentscoped $(INSTALL_PY) $(wildcard host/install/man/*) \
                    protocol/README.md include/mscope/metrics.def
	@rm -rf $(@D) && echo '  $@' && $(PYTHON) host/install/man.py $(BUILD) $(@D) && $(PYTHON) host/install/wire.py $(@D)
	@if command -v scdoc >/dev/null; then \
	    for s in $(@D)/*.scd; do scdoc <$$s >$${s%.scd} && \
	        sed -i "/^\([.]\|.h'\)/!s/-/\\\\-/g; s/^'/\\\\\&&/" $${s%.scd} || exit 1; done; touch $@; \
	else echo "  without manual pages: scdoc is missing (make deps)"; fi

$(BUILD)/completion/made: $(BUILD)/momentscope $(BUILD)/momentscoped $(INSTALL_PY)
	@rm -rf $(@D) && echo '  $@' && $(PYTHON) host/install/completion.py $(BUILD) $(@D) && touch $@

install-man: man
	@for n in 1 7 8; do for p in $(BUILD)/man/*.$$n; do [ ! -f $$p ] || { \
	    $(INSTALL) -d $(DESTDIR)$(MANDIR)/man$$n && \
	    $(INSTALL) -m 644 $$p $(DESTDIR)$(MANDIR)/man$$n; } || exit 1; done; done

install-completion: completion
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(BASHDIR) $(ZSHDIR) $(FISHDIR))
	@$(INSTALL) -m 644 $(BUILD)/completion/bash/* $(DESTDIR)$(BASHDIR)
	@$(INSTALL) -m 644 $(BUILD)/completion/zsh/* $(DESTDIR)$(ZSHDIR)
	@$(INSTALL) -m 644 $(BUILD)/completion/fish/* $(DESTDIR)$(FISHDIR)

install-units:
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(UNITDIR) $(USERUNITDIR) $(SYSUSERS) $(TMPFILES))
	@$(UNIT) host/install/systemd/momentscoped.system.service >$(DESTDIR)$(UNITDIR)/momentscoped.service
	@$(UNIT) host/install/systemd/momentscoped.user.service >$(DESTDIR)$(USERUNITDIR)/momentscoped.service
	@chmod 644 $(addprefix $(DESTDIR),$(addsuffix /momentscoped.service,$(UNITDIR) $(USERUNITDIR)))
	@$(INSTALL) -m 644 host/install/systemd/momentscope.sysusers.conf $(DESTDIR)$(SYSUSERS)/momentscope.conf
	@$(INSTALL) -m 644 host/install/systemd/momentscope.tmpfiles.conf $(DESTDIR)$(TMPFILES)/momentscope.conf
UNIT = sed 's|@BINDIR@|$(BINDIR)|; s|@SYSCONFDIR@|$(SYSCONFDIR)|'

# The demo without the tree around it.
install-demo: $(BUILD)/demo_trainer
	@$(INSTALL) -d $(DESTDIR)$(PRIVATE) && $(INSTALL) $(BUILD)/demo_trainer $(DESTDIR)$(PRIVATE)
	@sed 's|{BUILD:-build}|{BUILD:-$(PRIVATE)}|' host/demo/run.sh >$(DESTDIR)$(PRIVATE)/demo
	@chmod 755 $(DESTDIR)$(PRIVATE)/demo

# READMEs point at one another as in the tree.
install-doc:
	@for d in $(DOCS); do $(INSTALL) -d $(DESTDIR)$(DOCDIR)/$$(dirname $$d) && \
	    $(INSTALL) -m 644 $$d $(DESTDIR)$(DOCDIR)/$$d || exit 1; done
DOCS = README.md $(wildcard firmware/README.md protocol/README.md protocol/telemetry.cddl host/*.md host/bands.svg \
       host/bench/README.md host/serve/README.md)

# For packagers; a person takes pip, which also knows the Python it installs for.
install-python:
	@$(INSTALL) -d $(DESTDIR)$(PYTHONDIR)
	@$(PYTHON) host/python/packaging/wheelbuild.py --unpacked $(DESTDIR)$(PYTHONDIR)

# The names of pages follow the commands, so a page of a command that is gone is removed as well.
INSTALLED += $(MANDIR)/man1/momentscope.1 $(MANDIR)/man1/momentscope-*.1 $(MANDIR)/man7/momentscope-*.7 \
             $(MANDIR)/man8/momentscoped.8 $(addprefix $(BASHDIR)/,momentscope momentscoped) \
             $(addprefix $(ZSHDIR)/,_momentscope _momentscoped) \
             $(addprefix $(FISHDIR)/,momentscope.fish momentscoped.fish) \
             $(addsuffix /momentscoped.service,$(UNITDIR) $(USERUNITDIR)) $(PRIVATE)/demo $(PRIVATE)/demo_trainer \
             $(addprefix $(DOCDIR)/,$(DOCS)) \
             $(addsuffix /momentscope.conf,$(SYSUSERS) $(TMPFILES))

# -- packages for Debian ---------------------------------------------------------------------
# dpkg-buildpackage wants its files at debian/ of the tree, so it gets a copy of the tree that has them there.
DEB = $(BUILD)/deb
deb: $(BUILD)/page/page.js
	@rm -rf $(DEB) && mkdir -p $(DEB)/momentscope-$(VERSION)
	@{ git ls-files -z --cached --others --exclude-standard 2>/dev/null || \
	   find . -path ./build -prune -o -type f -print0; } | \
	    xargs -0 ls -d 2>/dev/null | tar -cf - -T - | tar -xf - -C $(DEB)/momentscope-$(VERSION)
	@cd $(DEB)/momentscope-$(VERSION) && cp -r host/install/debian debian && \
	    printf 'momentscope (%s) unstable; urgency=medium\n\n  * As built from this tree.\n\n -- %s  %s\n' $(VERSION) \
	        "$$(sed -n 's/^Maintainer: //p' debian/control)" \
	        "$$(date -R -d @$$(git -C $(CURDIR) log -1 --format=%ct 2>/dev/null || date +%s))" >debian/changelog
	@mkdir -p $(DEB)/momentscope-$(VERSION)/build && cp -r $(NPM_DIR) $(DEB)/momentscope-$(VERSION)/build/ && \
	    touch $(DEB)/momentscope-$(VERSION)/$(NPM_DIR)/uplot.js
	@cd $(DEB)/momentscope-$(VERSION) && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u BUILD dpkg-buildpackage -us -uc -b -j2
	@ls $(DEB)/*.deb

DEB_PACKAGES = debhelper dh-python lintian mmdebstrap scdoc
check-deb: all
	@$(MAKE) deps PACKAGES="$(DEB_PACKAGES)" COMMANDS= || echo "going on without some of: $(DEB_PACKAGES)"
	@MOMENTSCOPE_CHECK_DEB=1 BUILD=$(BUILD) PYTHON=$(PYTHON) tests/run test_install_debian

check-boot: all ## the packages on a machine that boots, emulated: units, watchdog, state, users, purge (needs root)
	@$(MAKE) deps PACKAGES="$(DEB_PACKAGES) qemu-system-x86 e2fsprogs" COMMANDS= || echo "going on without some of them"
	@MOMENTSCOPE_CHECK_BOOT=1 BUILD=$(BUILD) PYTHON=$(PYTHON) tests/run test_install_boot
