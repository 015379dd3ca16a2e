#!/bin/sh
# Takes the host's work away before a change and brings it back, as the mark STATE/guardian/drained says.
# Needs no agent, no server and no network; one at a time; what is done is done once.
#   drain STATE drain     does what the mark's `todo` lines ask for, and notes each with `did` before it begins
#   drain STATE undrain   takes back what `did` lines tell, in reverse order, and removes the mark
#   drain STATE retry     the same, unless somebody is at it or it was tried in the last five minutes
#   drain STATE due       leaves it to the guardian to do so at its next look
#   drain STATE probe     succeeds when everything was taken away and still is
set -u
state=${1:-/var/lib/atlas-agent}
what=${2:-undrain}
dir=$state/guardian
mark=$dir/drained
# Tests put the site's programs elsewhere, under another owner.
top=${ATLAS_DRAIN_TOP:-}
owner=${ATLAS_DRAIN_OWNER:-0}
hooks=$top/etc/atlas/hooks
reason=

note() {
  printf '%s\n' "$1" >>"$mark" && sync "$mark"
}

lines() {
  sed -n "s/^$1=//p" "$mark"
}

uptime_s() {
  cut -d. -f1 /proc/uptime
}

# A program of the site is run when nobody but root can have put it there: no link, no other owner or writer, up to the root.
sound() {
  at=$hooks/$1
  [ -f "$at" ] && [ -x "$at" ] || { reason="$at is not there, or is no program"; return 1; }
  while :; do
    [ ! -L "$at" ] || { reason="$at is a symbolic link"; return 1; }
    [ "$(stat -c %u "${at:-/}")" = "$owner" ] || { reason="$at does not belong to root"; return 1; }
    case $(stat -c %a "${at:-/}") in
      *[2367] | *[2367]?) reason="$at may be written by others than root"; return 1 ;;
    esac
    [ "$at" != "$top" ] || return 0
    at=${at%/*}
  done
}

run_hook() {
  sound "$1" || return 1
  # Neither the lock nor a pipe of ours is kept open by what the program may leave behind.
  (cd / && exec timeout -k 5 "$2" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$hooks/$1") \
    </dev/null >"$dir/hook.out" 2>&1 9>&- && return 0
  reason="$hooks/$1 failed or took more than $2 s: $(tail -c 500 "$dir/hook.out" | tr '\n' ' ')"
  return 1
}

stop_unit() {
  systemctl is-active --quiet -- "$1" || return 0
  note "did=unit $1 $2" || { reason='the mark cannot be written'; return 1; }
  timeout -k 5 "$2" systemctl stop -- "$1" </dev/null >/dev/null 2>&1
  systemctl is-active --quiet -- "$1" || return 0
  reason="$1 did not stop within $2 s"
  return 1
}

start_unit() {
  timeout -k 5 "$2" systemctl start -- "$1" </dev/null >/dev/null 2>&1
  systemctl is-active --quiet -- "$1" && return 0
  reason="$1 did not start within $2 s"
  return 1
}

drain() {
  [ -e "$mark" ] || { reason='nothing was ordered'; return 1; }
  todo=$(lines todo)
  case $todo in *hook*) sound drain && sound undrain || return 1 ;; esac
  while read -r kind a b; do
    case $kind in
      hook)
        note "did=hook $a" || { reason='the mark cannot be written'; return 1; }
        run_hook drain "$a" || return 1
        ;;
      unit) stop_unit "$a" "$b" || return 1 ;;
    esac
  done <<END
$todo
END
  note "drained_ms=$(date +%s%3N)"
}

undrain() {
  [ -e "$mark" ] || return 0
  broken=
  while read -r kind a b; do
    case $kind in
      unit) start_unit "$a" "$b" || broken="$broken$reason; " ;;
      # Nobody is sent to a host whose services are not there.
      hook) [ -n "$broken" ] || run_hook undrain "$a" || broken=$reason ;;
    esac
  done <<END
$(lines did | tac)
END
  if [ -n "$broken" ]; then
    reason=$broken
    note "tried_uptime_s=$(uptime_s)"
    note "failed=$(printf %s "$broken" | tr '\n' ' ')"
    return 1
  fi
  mv "$mark" "$dir/drained.last" && sync "$dir"
}

probe() {
  [ -n "$(lines drained_ms 2>/dev/null)" ] || return 1
  while read -r kind a _; do
    [ "$kind" != unit ] || ! systemctl is-active --quiet -- "$a" || return 1
  done <<END
$(lines did)
END
}

retry() {
  [ -e "$mark" ] || return 0
  tried=$(lines tried_uptime_s | tail -n 1)
  now=$(uptime_s)
  # A smaller age of the machine than at the last try: it has started again since.
  [ -n "$tried" ] && [ "$now" -ge "$tried" ] && [ $((now - tried)) -lt 300 ] && return 0
  undrain
}

due() {
  [ ! -e "$mark" ] || [ -n "$(lines failed)" ] || note 'failed=nobody brought it back'
}

exec 9>"$dir/drain.lock"
if [ "$what" = retry ] || [ "$what" = due ]; then
  flock -n 9 || exit 0
else
  flock 9
fi
case $what in
  drain | undrain | retry | due | probe) "$what" && exit 0 ;;
  *) reason="no such work: $what" ;;
esac
[ -z "$reason" ] || echo "$reason" >&2
exit 1
