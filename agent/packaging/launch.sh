#!/bin/sh
# Starts the agent: the version that STATE/versions/current points at, or the one that this package carries. Each start of
# a version that has not proven itself is counted on the disk before it happens; one that had its chances is left for the
# version before it. Needs no agent, no server and no network, and only the package replaces it.
#   launch start ARGUMENTS   what the service runs
#   launch exec ARGUMENTS    any other command of the agent: starts what is pointed at, counts nothing
#   launch watch             from the guardian's timer: leaves a version that runs and does not prove itself
#   launch package           by hand, or from the package: the package's own version from now on
set -u
home=${ATLAS_LAUNCH_HOME:-/usr/lib/atlas-agent}
versions=${ATLAS_LAUNCH_STATE:-/var/lib/atlas-agent}/versions
current=$versions/current
# What a version has, before it is left: so many starts, and seconds in each of them.
max_starts=3
within_s=600
what=${1:-start}
[ $# -eq 0 ] || shift

# Value of a name in the pointer, a file of name=value lines; the last one wins, nothing is evaluated.
value() {
  sed -n "s/^$1=//p" "$current" 2>/dev/null | tail -n 1
}

say() {
  echo "launch: $*" >&2
}

# Replaces the pointer whole, by what comes in: after a power cut the old one is there or the new one.
put() {
  new=$current.$$
  cat >"$new" && grep -q '^version=.' "$new" && sync "$new" && mv -f "$new" "$current" && sync "$versions" && return 0
  rm -f "$new"
  return 1
}

# True when this version can be started: its folder holds the program of which its digest was noted.
sound() {
  case $1 in
    package) return 0 ;;
    '' | .* | *[!0-9.]*) return 1 ;;
  esac
  (cd "$versions/$1" && [ -s agent.mjs ] && sha256sum --status -c SHA256SUMS) 2>/dev/null
}

# The version to fall back on.
former() {
  before=$(value previous)
  sound "$before" || before=package
  echo "$before"
}

# Leaves the version that is pointed at, for good, and notes why for the agent to tell.
go_back() {
  left=$(value version)
  say "going back from $left to $(former): $1"
  {
    printf 'version=%s\nprevious=package\nproven=yes\n' "$(former)"
    printf 'left=%s\nleft_ask=%s\nleft_starts=%s\nleft_why=%s\n' "$left" "$(value ask)" "$(value starts)" "$1"
  } | put
}

# Notes one more start of an unproven version, and when it was.
count() {
  {
    grep -Ev '^(starts|boot_id|since_uptime_s)=' "$current"
    printf 'starts=%s\nboot_id=%s\nsince_uptime_s=%s\n' "$1" "$(cat /proc/sys/kernel/random/boot_id)" "$(cut -d. -f1 /proc/uptime)"
  } | put
}

# Prints the version to start, after an unproven one was judged and counted.
choose() {
  version=$(value version)
  if [ "${version:-package}" != package ] && [ "$(value proven)" != yes ]; then
    starts=$(value starts)
    case $starts in '' | *[!0-9]*) starts=$max_starts ;; esac
    if ! sound "$version"; then
      go_back 'its files are damaged'
    elif [ "$starts" -ge "$max_starts" ]; then
      go_back "started $starts times and did not prove itself"
    elif count $((starts + 1)); then
      echo "$version"
      return
    else
      say "the start of $version cannot be counted, so it does not happen"
    fi
    # Whether or not that could be written: never again what has not proven itself.
    [ "$(value version)" = "$version" ] && version=$(former) || version=$(value version)
  fi
  usable "$version"
}

# This version, or the next best one that can be started.
usable() {
  if sound "${1:-package}"; then
    echo "${1:-package}"
    return
  fi
  say "$1 is damaged"
  former
}

# Nothing of the environment reaches the runtime.
launch() {
  ATLAS_AGENT_BUILD=$1
  shift
  unset NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED NODE_PATH
  export ATLAS_AGENT_BUILD
  program=$home/agent.mjs
  [ "$ATLAS_AGENT_BUILD" = package ] || program=$versions/$ATLAS_AGENT_BUILD/agent.mjs
  exec "$home/node" --no-warnings "$program" "$@"
}

# Restarts the agent when it was left, also when a look before this one was cut short between the two.
restart() {
  ${ATLAS_LAUNCH_RESTART:-systemctl --no-block restart atlas-agent.service} && rm -f "$versions/restart"
}

watch() {
  [ -e "$current" ] || return 0
  if [ -e "$versions/restart" ]; then
    restart
    return
  fi
  [ "$(value proven)" = no ] || return 0
  # Not started in this boot yet: its start will say when.
  [ "$(value boot_id)" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 0
  since=$(value since_uptime_s)
  case $since in '' | *[!0-9]*) since=0 ;; esac
  [ $(($(cut -d. -f1 /proc/uptime) - since)) -ge "$within_s" ] || return 0
  : >"$versions/restart" && sync "$versions"
  # A proof that came while this was being decided is heard.
  if [ "$(value proven)" != no ]; then
    rm -f "$versions/restart"
    return
  fi
  go_back "no healthy contact with the server within $within_s s" && restart
}

case $what in
  start)
    rm -f "$versions/restart"
    launch "$(choose)" "$@"
    ;;
  exec) launch "$(usable "$(value version)")" "$@" ;;
  watch) watch ;;
  package)
    [ ! -e "$current" ] || { rm -f "$current" && sync "$versions"; }
    ;;
  *)
    say "unknown: $what"
    exit 64
    ;;
esac
