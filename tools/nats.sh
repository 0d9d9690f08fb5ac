#!/bin/sh
# The nats command line with the dev broker's address and password: one on PATH is preferred, else it is built once.
set -eu
[ -f .castad/dev.env ] || { echo "There is no .castad/dev.env: start the product first with 'go tool task dev'." >&2; exit 1; }
. ./.castad/dev.env
export NATS_URL="$CASTAD_NATS_ADDR" NATS_USER=castad NATS_PASSWORD="$CASTAD_NATS_PASSWORD"
if command -v nats >/dev/null 2>&1; then exec nats "$@"; fi
if [ ! -x .castad/bin/nats ]; then
	echo "building the nats command line once (some minutes) ..." >&2
	go build -modfile=tools/nats.mod -o .castad/bin/nats github.com/nats-io/natscli/nats
fi
exec .castad/bin/nats "$@"
