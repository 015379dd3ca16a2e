#!/bin/sh
# Makes the disk of one host from the base image and gives it its own files and packages.
#   provision-host.sh BASE IMAGE FILES
# FILES is copied over the root; packages under FILES/root/packages are installed. Runs in its own mount namespace.
set -eu
umask 022
base=$1 image=$2 files=$3
work=$(mktemp -d)
trap 'umount "$work" 2>/dev/null || true; rmdir "$work"' EXIT

# Only the holes the base has: a scattered file takes long to copy and to delete.
cp --reflink=auto --sparse=auto "$base" "$image.part"
# A second disk with the same identity cannot be mounted beside the first one (kernels before 6.7 refuse it).
btrfstune -m "$image.part"
mount -o loop,noatime,nodiscard "$image.part" "$work"
cp -r "$files/." "$work/"
if [ -d "$work/root/packages" ]; then
  chroot "$work" sh -c 'dpkg --install /root/packages/*.deb'
  rm -rf "$work/root/packages"
fi
# A child of dpkg may outlive it for a moment.
tries=0
until umount "$work"; do
  tries=$((tries + 1))
  [ "$tries" -lt 100 ] || exit 1
  sleep 0.1
done
mv "$image.part" "$image"
