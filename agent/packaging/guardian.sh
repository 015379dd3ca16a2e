#!/bin/sh
# Commit-confirm: turns the root back to a snapshot when an update was not confirmed in time, or at once when the agent
# has decided so. Runs from a timer every five seconds, needs no agent, no server and no network.
#   guardian [STATE]     STATE/guardian/armed holds the deadline, STATE/guardian/firing a decided revert,
#                        STATE/guardian/drained what was taken away from the host for the change.
set -u
state=${1:-/var/lib/atlas-agent}
root=${2:-/}
dir=$state/guardian
armed=$dir/armed
firing=$dir/firing
drained=$dir/drained
boot=$(cat /proc/sys/kernel/random/boot_id)

# Value of a name in a file of name=value lines; the last one wins, nothing is evaluated.
value() {
  sed -n "s/^$2=//p" "$1" 2>/dev/null | tail -n 1
}

now_ms() {
  date +%s%3N
}

# True when the deadline NAME of FILE has passed: by the machine's age in the boot that set it, by the clock after a restart.
passed() {
  if [ "$(value "$1" boot_id)" = "$boot" ]; then
    limit=$(value "$1" "$2_uptime_s")
    now=$(cut -d. -f1 /proc/uptime)
  else
    limit=$(value "$1" "$2_s")
    now=$(date +%s)
  fi
  case $limit in '' | *[!0-9]*) return 1 ;; esac
  [ "$now" -ge "$limit" ]
}

decide() {
  if passed "$armed" deadline; then
    reason='no commit before the deadline'
  elif passed "$armed" silent; then
    reason='the server was silent after the checks were green'
  else
    return 0
  fi
  now=$(now_ms)
  # A commit takes the deadline away; one that comes while this is being written is heard.
  {
    cat "$armed"
    printf 'by=guardian\nreason=%s\nboot_id=%s\ndetected_ms=%s\ndecided_ms=%s\n' "$reason" "$boot" "$now" "$now"
  } >"$firing.new" && sync "$firing.new" && [ -e "$armed" ] && mv "$firing.new" "$firing" && rm -f "$armed"
}

revert() {
  snapshot=$(value "$firing" snapshot)
  case $snapshot in "$state"/snapshots/*) ;; *) echo "guardian: no snapshot of ours: $snapshot" >&2; return 1 ;; esac
  fresh=$snapshot.root
  # A revert that was cut short is taken up where it stopped.
  [ -d "$fresh" ] || btrfs subvolume snapshot "$snapshot" "$fresh" >/dev/null || return 1
  new=$(btrfs inspect-internal rootid "$fresh") || return 1
  old=$(btrfs inspect-internal rootid "$root") || return 1
  if [ -z "$(value "$firing" switched_ms)" ]; then
    btrfs subvolume set-default "$new" "$root" || return 1
    printf 'new_root_id=%s\nold_root_id=%s\nswitched_ms=%s\n' "$new" "$old" "$(now_ms)" >>"$firing"
  fi
  btrfs filesystem sync "$root" >/dev/null
  sync "$firing"
  ${ATLAS_GUARDIAN_REBOOT:-systemctl reboot}
}

# The host's work comes back after its deadline, after a revert, one that failed too, and again after an attempt that failed.
bring_back() {
  [ -e "$drained" ] || return 0
  [ -e "$firing" ] || [ -n "$(value "$drained" failed)" ] || passed "$drained" deadline || return 0
  "${ATLAS_GUARDIAN_DRAIN:-/usr/lib/atlas-agent/drain}" "$state" retry
}

[ -e "$firing" ] || [ ! -e "$armed" ] || decide
# After the restart the agent tells the story; the guardian has done its part of the revert.
if [ -e "$firing" ] && [ "$(value "$firing" boot_id)" = "$boot" ]; then
  revert && exit 0
  bring_back
  exit 1
fi
bring_back
