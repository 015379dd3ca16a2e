#!/bin/sh
# The agent with the runtime that its package carries; nothing of the environment reaches that runtime.
unset NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED NODE_PATH
exec /usr/lib/atlas-agent/node --no-warnings /usr/lib/atlas-agent/agent.mjs "$@"
