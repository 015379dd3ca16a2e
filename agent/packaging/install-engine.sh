#!/bin/sh
# Puts the engine that came over SSH in its place; run as root from the folder it was unpacked in.
#   install-engine.sh DIGEST
# On a host with the agent's package only the engine itself is added: the package owns the rest.
set -eu
umask 022
digest=$1
home=$(cd "$(dirname "$0")" && pwd)
state=/var/lib/atlas-agent

[ -d /run/systemd/system ] || { echo 'engine: this host has no systemd' >&2; exit 3; }
if [ ! -e /var/lib/dpkg/info/atlas-agent.list ]; then
  mkdir -p /usr/lib/atlas-agent
  install -m 0755 "$home/guardian" "$home/launch" "$home/drain" "$home/prepare-state" /usr/lib/atlas-agent/
  install -m 0644 "$home"/atlas-agent-state.service "$home"/atlas-guardian.service "$home"/atlas-guardian.timer /etc/systemd/system/
  systemctl daemon-reload
  systemctl --quiet enable atlas-agent-state.service atlas-guardian.timer
fi
systemctl start atlas-agent-state.service atlas-guardian.timer

# Inside the state: a rollback of the root must find the engine again.
target=$state/engine/$digest
mkdir -p "$state/engine"
chmod 700 "$state" "$state/engine"
rm -rf "$target.new"
mkdir "$target.new"
install -m 0755 "$home/node" "$home/atlas-engine" "$target.new/"
install -m 0644 "$home/agent.mjs" "$target.new/"
mkdir "$target.new/lib"
install -m 0644 "$home/libatomic.so.1" "$target.new/lib/"
"$target.new/atlas-engine" version >/dev/null || { echo 'engine: its runtime does not start on this host' >&2; exit 4; }
sync "$target.new/node"
rm -rf "$target"
mv "$target.new" "$target"
# Older engines: the one at work keeps its open files.
for other in "$state"/engine/*; do
  [ "$other" = "$target" ] || rm -rf "$other"
done
