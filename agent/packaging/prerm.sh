#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl stop atlas-guardian.timer atlas-agent.service || true
fi
if [ "$1" = remove ]; then
  systemctl --quiet disable atlas-agent.service atlas-agent-state.service atlas-guardian.timer || true
fi
