#!/bin/sh
# boot.sh - what is asked of momentscoped.service on a machine that has just booted; tests/test_install_boot.py runs it
# there, as root and as the only login. A line "ok WHAT" or "not ok WHAT: WHY" for each question; "end" at the end.
set -u
export LC_ALL=C.UTF-8 SYSTEMD_PAGER=cat
TEXT=/boot-test.txt
TRAINER=/usr/lib/momentscope/demo_trainer
MACHINE="MOMENTSCOPE_INGEST=ipc:///run/momentscope/ingest.ipc MOMENTSCOPE_TELEMETRY=ipc:///run/momentscope/telemetry.ipc
MOMENTSCOPE_REPLAY=ipc:///run/momentscope/replay.ipc MOMENTSCOPE_DAEMON_USER=momentscope"

said=
ask() {                                 # WHAT COMMAND...: is it true? What it prints is told where it is not
    what=$1
    shift
    if said=$("$@" 2>&1); then
        echo "ok $what"
    else
        echo "not ok $what: $(printf %s "$said" | tail -c 1500 | tr '\n' '|')"
    fi
}
property() { systemctl show -P "$1" momentscoped; }
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
at_most() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; return 1; }; }
has() { case $1 in *"$2"*) ;; *) echo "no '$2' in: $1"; return 1 ;; esac; }
lacks() { case $1 in *"$2"*) echo "'$2' in: $1"; return 1 ;; esac; }
until_true() {                          # SECONDS COMMAND...
    left=$1
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { "$@"; return 1; }
        sleep 1
    done
}
as() { user=$1; shift; runuser -u "$user" -- env "$@"; }
train() { user=$1; shift; as "$user" "$@" timeout 600 "$TRAINER" --steps 60 --probe-every 20 --quiet "$TEXT"; }
active_again() { is "$(property ActiveState)" active && [ "$(property MainPID)" -gt 0 ] && ! is "$(property MainPID)" "$1"; }

# -- the machine's --------------------------------------------------------------------------------------------------
ask "the machine has started" until_true 300 systemctl is-active -q multi-user.target
ask "started at boot" until_true 60 is "$(property ActiveState)" active
ask "by READY=1: the unit is of Type=notify" is "$(property Type)" notify
ask "as user momentscope" is "$(ps -o user= -p "$(property MainPID)")" momentscope
ask "with a seccomp filter" has "$(grep Seccomp: "/proc/$(property MainPID)/status")" 2
ask "without capabilities" has "$(grep CapBnd "/proc/$(property MainPID)/status")" 0000000000000000
ask "the directory of its sockets is the group's" is "$(stat -c '%U %G %a' /run/momentscope)" "momentscope momentscope 750"
ask "the state's is its own" is "$(stat -c '%U %a' /var/lib/momentscope)" "momentscope 700"

# shellcheck disable=SC2086 # a list of variables on purpose
{
    seen=$(train member $MACHINE 2>&1)
    ask "a member of the group trains" has "$seen" "60 steps sent, 0 dropped"
    seen=$(as member $MACHINE momentscope watch --once --wait 20 2>&1)
    ask "and watches" has "$seen" "table embedding: step 60"
    seen=$(train outsider $MACHINE 2>&1)
    ask "an outsider's trainer trains" has "$seen" "steps sent"
    ask "and reaches nobody" has "$seen" "no daemon is connected"
    seen=$(as outsider $MACHINE momentscope watch --once --wait 3 2>&1)
    ask "an outsider hears nothing" lacks "$seen" "table embedding"
    seen=$(train member MOMENTSCOPE_INGEST=ipc:///run/momentscope/ingest.ipc 2>&1)
    ask "a trainer that was not told of the daemon's user sends nothing" has "$seen" "MOMENTSCOPE_DAEMON_USER"
}

begin=$(date +%s)
ask "it is stopped" systemctl stop momentscoped
ask "within 20 s" at_most "$(($(date +%s) - begin))" 20
ask "with result success" is "$(property Result)" success
ask "its state is saved" test -s /var/lib/momentscope/state
ask "and is whole" runuser -u momentscope -- momentscoped --verify /var/lib/momentscope/state
ask "its sockets are gone" test ! -e /run/momentscope
ask "it is started again" systemctl start momentscoped
# shellcheck disable=SC2086
seen=$(as member $MACHINE momentscope watch --once --wait 20 2>&1)
ask "and knows the table" has "$seen" "table embedding: step 60"

pid=$(property MainPID)
kill -STOP "$pid"
ask "a daemon that hangs is noticed and started again" until_true 120 active_again "$pid"
ask "by the watchdog" has "$(journalctl -u momentscoped)" "Watchdog timeout"
ask "once" is "$(property NRestarts)" 1
pid=$(property MainPID)
kill -KILL "$pid"
ask "a daemon that was killed is started again" until_true 60 active_again "$pid"
# shellcheck disable=SC2086
seen=$(as member $MACHINE momentscope watch --once --wait 20 2>&1)
ask "and still knows the table" has "$seen" "table embedding: step 60"
echo MOMENTSCOPE_MAX_TABLES=many >>/etc/default/momentscoped
ask "with a bad option it does not start" sh -c '! systemctl restart momentscoped'
ask "and is not tried again" is "$(property NRestarts)" 0
ask "the journal names the option" has "$(journalctl -u momentscoped)" MAX_TABLES
sed -i '/MAX_TABLES/d' /etc/default/momentscoped
ask "mended, it starts" systemctl restart momentscoped

# -- a user's -------------------------------------------------------------------------------------------------------
uid=$(id -u plain)
own="XDG_RUNTIME_DIR=/run/user/$uid"
loginctl enable-linger plain
ask "a user's manager starts" until_true 60 systemctl is-active -q "user@$uid.service"
ask "the user's daemon starts" as plain "$own" systemctl --user start momentscoped
ask "and is active" is "$(as plain "$own" systemctl --user is-active momentscoped)" active
ask "its sockets are in the user's runtime directory" test -S "/run/user/$uid/momentscope/ingest.ipc"
seen=$(train plain "$own" 2>&1)
ask "the user's trainer finds it without a setting" has "$seen" "60 steps sent, 0 dropped"
ask "the user's daemon stops" as plain "$own" systemctl --user stop momentscoped
ask "its state is saved" sh -c 'test -s /home/plain/.config/momentscope/state || test -s /home/plain/.local/state/momentscope/state'
ask "it starts again" as plain "$own" systemctl --user start momentscoped
seen=$(as plain "$own" momentscope watch --once --wait 20 2>&1)
ask "and knows the table" has "$seen" "table embedding: step 60"
ask "it stops" as plain "$own" systemctl --user stop momentscoped

# -- the journal, and the end ---------------------------------------------------------------------------------------
ask "no process was ended by seccomp" lacks "$(journalctl -b)" "SIGSYS"
ask "the kernel has no word of seccomp about it" lacks "$(journalctl -b _TRANSPORT=audit + _TRANSPORT=kernel)" 'comm="momentscope'
ask "nor was it refused anything" lacks "$(journalctl -b _COMM=momentscoped)" "not permitted"
ask "the packages are purged" env DEBIAN_FRONTEND=noninteractive dpkg --purge python3-momentscope libmomentscope-dev momentscope momentscoped libmomentscope0
ask "the daemon has ended" sh -c '! pgrep -x momentscoped'
ask "the unit is gone" has "$(systemctl status momentscoped 2>&1)" "could not be found"
ask "the user is gone" sh -c '! getent passwd momentscope'
left=$(find / -xdev \( -path /debs -o -path /home -o -path /var/log -o -path /proc -o -path /sys -o -path /root \) -prune -o \
       -name '*momentscope*' -print 2>/dev/null | grep -v '^/boot-test')
ask "no file is left" is "$left" ""
ask "nor a directory of sockets" test ! -e /run/momentscope
echo end
