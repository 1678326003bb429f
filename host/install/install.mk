# install.mk - manual pages, completions and units: made from what --help of the built programs says, and installed
#
# DESTDIR and PREFIX are those of the Makefile, which includes this file.

MANDIR     ?= $(PREFIX)/share/man
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions
FISHDIR    ?= $(PREFIX)/share/fish/vendor_completions.d
SYSTEMD    ?= $(PREFIX)/lib/systemd
SYSUSERS   ?= $(PREFIX)/lib/sysusers.d
TMPFILES   ?= $(PREFIX)/lib/tmpfiles.d
SYSCONFDIR ?= /etc
INSTALL_PY  = $(wildcard host/install/*.py)

.PHONY: man completion install-man install-completion install-units

man: $(BUILD)/man/made
completion: $(BUILD)/completion/made

# A hyphen in a page is the character that a shell wants, also where groff would print another one.
$(BUILD)/man/made: $(BUILD)/momentscope $(BUILD)/momentscoped $(INSTALL_PY) $(wildcard host/install/man/*)
	@rm -rf $(@D) && echo '  $@' && $(PYTHON) host/install/man.py $(BUILD) $(@D)
	@if command -v scdoc >/dev/null; then \
	    for s in $(@D)/*.scd; do scdoc <$$s >$${s%.scd} && sed -i '/^[.]/!s/-/\\-/g' $${s%.scd} || exit 1; done; touch $@; \
	else echo "  without manual pages: scdoc is missing (make deps)"; fi

$(BUILD)/completion/made: $(BUILD)/momentscope $(BUILD)/momentscoped $(INSTALL_PY)
	@rm -rf $(@D) && echo '  $@' && $(PYTHON) host/install/completion.py $(BUILD) $(@D) && touch $@

install-man: man
	@for n in 1 7 8; do for p in $(BUILD)/man/*.$$n; do [ ! -f $$p ] || { \
	    $(INSTALL) -d $(DESTDIR)$(MANDIR)/man$$n && $(INSTALL) -m 644 $$p $(DESTDIR)$(MANDIR)/man$$n; } || exit 1; done; done

install-completion: completion
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(BASHDIR) $(ZSHDIR) $(FISHDIR))
	@$(INSTALL) -m 644 $(BUILD)/completion/bash/* $(DESTDIR)$(BASHDIR)
	@$(INSTALL) -m 644 $(BUILD)/completion/zsh/* $(DESTDIR)$(ZSHDIR)
	@$(INSTALL) -m 644 $(BUILD)/completion/fish/* $(DESTDIR)$(FISHDIR)

install-units:
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(SYSTEMD)/system $(SYSTEMD)/user $(SYSUSERS) $(TMPFILES))
	@for u in system user; do \
	    sed 's|@BINDIR@|$(BINDIR)|; s|@SYSCONFDIR@|$(SYSCONFDIR)|' host/install/systemd/momentscoped.$$u.service \
	        >$(DESTDIR)$(SYSTEMD)/$$u/momentscoped.service && chmod 644 $(DESTDIR)$(SYSTEMD)/$$u/momentscoped.service \
	        || exit 1; done
	@$(INSTALL) -m 644 host/install/systemd/momentscope.sysusers.conf $(DESTDIR)$(SYSUSERS)/momentscope.conf
	@$(INSTALL) -m 644 host/install/systemd/momentscope.tmpfiles.conf $(DESTDIR)$(TMPFILES)/momentscope.conf

# The names of pages follow the commands, so a page of a command that is gone is removed as well.
INSTALLED += $(MANDIR)/man1/momentscope.1 $(MANDIR)/man1/momentscope-*.1 $(MANDIR)/man7/momentscope-*.7 \
             $(MANDIR)/man8/momentscoped.8 $(addprefix $(BASHDIR)/,momentscope momentscoped) \
             $(addprefix $(ZSHDIR)/,_momentscope _momentscoped) \
             $(addprefix $(FISHDIR)/,momentscope.fish momentscoped.fish) \
             $(addsuffix /momentscoped.service,$(SYSTEMD)/system $(SYSTEMD)/user) \
             $(addsuffix /momentscope.conf,$(SYSUSERS) $(TMPFILES))
