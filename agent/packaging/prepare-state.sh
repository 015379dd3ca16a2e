#!/bin/sh
# Puts the agent's state outside of what a rollback turns back: on a btrfs root, into a top-level subvolume of its own.
# Harmless to run again; does nothing on other file systems or when somebody has mounted the directory already.
set -eu
state=/var/lib/atlas-agent
mkdir -p "$state"
chmod 700 "$state"
mkdir -p /var/cache/atlas-agent

[ "$(findmnt -no FSTYPE /)" = btrfs ] || exit 0
mountpoint -q "$state" && exit 0
command -v btrfs >/dev/null || exit 0
device=$(findmnt -no SOURCE / | sed 's/\[.*//')
[ -b "$device" ] || { echo "atlas-agent: $device is not there; no rollback will be offered" >&2; exit 0; }

top=$(mktemp -d /run/atlas-agent-top.XXXXXX)
trap 'umount "$top" 2>/dev/null || true; rmdir "$top" 2>/dev/null || true' EXIT
mount -t btrfs -o subvolid=5 "$device" "$top"
if [ ! -d "$top/@atlas-agent" ]; then
  btrfs subvolume create "$top/@atlas-agent" >/dev/null
  chmod 700 "$top/@atlas-agent"
  cp -a "$state/." "$top/@atlas-agent/"
fi
mount -t btrfs -o subvol=@atlas-agent "$device" "$state"
