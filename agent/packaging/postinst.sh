#!/bin/sh
set -e
units='atlas-agent-state.service atlas-agent.service atlas-guardian.timer'
if [ "$1" = configure ]; then
  mkdir -p /var/lib/atlas-agent
  chmod 700 /var/lib/atlas-agent
  # A package that is as new as the version that the agent has become by itself takes its place.
  become=$(sed -n 's/^version=//p' /var/lib/atlas-agent/versions/current 2>/dev/null | tail -n 1)
  case $become in
    '' | package | *[!0-9.]*) ;;
    *) dpkg --compare-versions "$(dpkg-query -W -f='${Version}' atlas-agent)" lt "$become" || /usr/lib/atlas-agent/launch package ;;
  esac
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
