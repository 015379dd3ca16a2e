#!/bin/sh
# Runs one job in a room of its own: private memory file system, no other process in sight, no capability, own user.
#   sandbox.sh FOLDER BRING HIDE -- PYTHON JOB.PY    inside fresh mount, process, IPC and UTS name spaces
# BRING: a file that the job needs, or empty. HIDE: folders that it must not see, one a line.
set -eu
folder=$1 bring=$2 hide=$3
shift 4
mount -t tmpfs -o mode=0700,size=400m,nosuid,nodev tmpfs "$folder"
[ -z "$bring" ] || cp "$bring" "$folder/archive"
printf '%s\n' "$hide" | while read -r hidden; do
  [ -z "$hidden" ] || [ ! -d "$hidden" ] || mount -t tmpfs -o mode=0700,size=4k,ro tmpfs "$hidden"
done
cd "$folder"
limits='prlimit --core=0 --nofile=512 --cpu=600'
bare='--no-new-privs --bounding-set=-all --inh-caps=-all'
# Nobody's user, where it may read the programs; else root without any capability.
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups $bare "$1" -c '' 2>/dev/null \
  && setpriv --reuid=65534 --regid=65534 --clear-groups $bare test -r "$3"; then
  chown -R 65534:65534 "$folder"
  exec $limits setpriv --reuid=65534 --regid=65534 --clear-groups $bare "$@"
fi
exec $limits setpriv $bare "$@"
