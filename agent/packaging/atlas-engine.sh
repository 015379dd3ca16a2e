#!/bin/sh
# The engine with the runtime that came with it; nothing of the environment reaches that runtime.
unset NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED NODE_PATH
home=$(dirname "$0")
# A library that minimal hosts lack; programs that the engine starts get an environment without it.
export LD_LIBRARY_PATH="$home/lib"
exec "$home/node" --no-warnings "$home/agent.mjs" "$@"
