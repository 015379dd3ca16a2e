#!/bin/sh
# Builds the disk image that every lab host starts from: Debian of the release alone, so that updates are really
# pending, in the subvolume @; beside it @atlas-agent, which a rollback of the root leaves alone.
#   build-base.sh IMAGE FILES SUITE PACKAGES SIZE  (sources for the release on standard input)
# FILES is copied over the root before the end. Runs in a mount namespace of its own.
set -eu
umask 022
image=$1 files=$2 suite=$3 packages=$4 size=$5
work=$(mktemp -d)
trap 'umount -R "$work"/* 2>/dev/null || true; rmdir "$work"/* "$work"' EXIT

# The draft is made in memory (about 500 MB, given back at the end): dpkg waits for the disk after every package.
mkdir "$work/draft" "$work/final"
mount -t tmpfs -o size=2g,mode=755 tmpfs "$work/draft"
root=$work/draft/root
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" "$suite" "$root" -
cp -r "$files/." "$root/"

chroot "$root" sh -c 'dpkg --install /root/packages/*.deb'
rm -rf "$root/root/packages" "$root/etc/nginx/sites-enabled/default" "$root/var/www/html"
chroot "$root" update-ca-certificates >/dev/null 2>&1
chroot "$root" systemctl --quiet enable systemd-networkd.service 'var-lib-atlas\x2dagent.mount'
# Downloads and upgrades happen when ATLAS says so; the timers would take dpkg's lock at random.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer console-getty.service
mkdir -p "$root/var/lib/atlas-agent"
# Package lists of today, so that six hosts do not each unpack them again.
mount -t proc proc "$root/proc"
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get update --quiet=2 || echo "build-base: the hosts will fetch the package lists themselves" >&2
umount "$root/proc"
rm -f "$root/etc/resolv.conf" "$root/var/log/dpkg.log" "$root/var/log/bootstrap.log" "$root"/var/cache/apt/*.bin

# Written in one go from the finished draft: what was written and removed on the way would be copied with every host,
# and a file with thousands of holes takes seconds to delete on a disk mounted with discard.
truncate --size="$size" "$image"
# Single metadata: the image is a throw-away disk, and half the metadata is half the copy.
mkfs.btrfs --quiet --label atlas-host --metadata single "$image"
mount -o loop,noatime,nodiscard,compress=zstd:1 "$image" "$work/final"
btrfs subvolume create "$work/final/@" >/dev/null
btrfs subvolume create "$work/final/@atlas-agent" >/dev/null
chmod 700 "$work/final/@atlas-agent"
cp -a "$root/." "$work/final/@/"
btrfs subvolume set-default "$work/final/@"
umount "$work/final"
