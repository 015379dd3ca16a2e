#!/bin/sh
# Makes the disk of one host from the base image and gives it its own files and packages.
#   provision-host.sh BASE IMAGE FILES
# FILES is copied over the root; packages under FILES/root/packages are installed. Runs in its own mount namespace.
set -eu
umask 022
base=$1 image=$2 files=$3
work=$(mktemp -d)
trap 'umount "$work" 2>/dev/null || true; rmdir "$work"' EXIT

cp --reflink=auto --sparse=always "$base" "$image.part"
# A second disk with the same identity cannot be mounted beside the first one (kernels before 6.7 refuse it).
btrfstune -m "$image.part"
mount -o loop,noatime "$image.part" "$work"
cp -r "$files/." "$work/"
if [ -d "$work/root/packages" ]; then
  chroot "$work" sh -c 'dpkg --install /root/packages/*.deb'
  rm -rf "$work/root/packages"
fi
umount "$work"
mv "$image.part" "$image"
