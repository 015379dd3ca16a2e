#!/bin/sh
# Keeps one lab host running: mounts its disk by the default subvolume, boots it, and boots it again when it reboots.
# Runs as pid 1 of its own mount, network and pid namespaces, so one kill -9 takes the host, its mounts, its loop
# device and its network card away together.
#   supervise-host.sh NAME IMAGE ROOT BOOTS CGROUP
set -eu
name=$1 image=$2 root=$3 boots=$4 cgroup=$5

# Every host gets cgroups of its own; two systemds in one cgroup would see each other's services.
enter_cgroup() {
  mkdir -p "$1/$cgroup"
  if [ -e "$1/$cgroup/cpuset.cpus" ] && [ ! -e "$1/$cgroup/cgroup.controllers" ]; then
    # A legacy cpuset takes no process until it names its processors and memory.
    cat "$1/cpuset.cpus" >"$1/$cgroup/cpuset.cpus"
    cat "$1/cpuset.mems" >"$1/$cgroup/cpuset.mems"
  fi
  echo 0 >"$1/$cgroup/cgroup.procs"
}
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  enter_cgroup /sys/fs/cgroup
else
  for hierarchy in /sys/fs/cgroup/*/; do
    [ -e "${hierarchy}cgroup.procs" ] && enter_cgroup "${hierarchy%/}"
  done
  export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0
fi

# The network card is plugged in from outside.
tries=0
until grep -q '^ *host0:' /proc/net/dev; do
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || { echo "supervisor: no network card" >&2; exit 70; }
  sleep 0.05
done

ip link set lo up

# Lets go of the disk for good: mounted a second time while the first mount lingers, it would be two file systems.
release() {
  tries=0
  while mountpoint -q "$root" || [ -n "$(losetup --associated "$image")" ]; do
    [ "$tries" = 0 ] || sleep 0.1
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || { echo "supervisor: the disk stays busy" >&2; exit 72; }
    umount "$root" 2>/dev/null || true
  done
}

boot() {
  loop=$(losetup --find --show "$image")
  mount -o noatime,nodiscard "$loop" "$root" || { losetup -d "$loop"; return 71; }
  # From here on the device lives as long as the mount.
  losetup -d "$loop"
  status=0
  echo x >>"$boots"
  # The disk appears under its own name and under the one that the host's mount unit uses.
  systemd-nspawn --quiet --boot --register=no --keep-unit --directory="$root" --machine="$name" \
    --network-namespace-path=/proc/self/ns/net --capability=CAP_NET_ADMIN \
    --link-journal=no --resolv-conf=off --timezone=off --console=read-only \
    --bind="$loop" --bind="$loop:/dev/disk/by-label/atlas-host" </dev/null || status=$?
  release
  return "$status"
}

while :; do
  status=0
  boot || status=$?
  echo "supervisor: host ended with status $status"
  # systemd-nspawn says 133 for a reboot asked from inside (EXIT_FORCE_RESTART); anything else is the end.
  [ "$status" = 133 ] || exit "$status"
done
