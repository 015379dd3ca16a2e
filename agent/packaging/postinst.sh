#!/bin/sh
set -e
units='atlas-agent-state.service atlas-agent.service atlas-guardian.timer'
if [ "$1" = configure ]; then
  mkdir -p /var/lib/atlas-agent
  chmod 700 /var/lib/atlas-agent
  for unit in $units; do
    systemctl --quiet enable "$unit" || true
  done
  # In a chroot or an image under construction there is nothing to start.
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    systemctl start atlas-agent-state.service atlas-guardian.timer || true
    # During an update that the agent itself runs, its restart waits for the host's.
    [ -e /var/lib/atlas-agent/guardian/armed ] || systemctl restart atlas-agent.service || true
  fi
fi
