#!/bin/sh
# Builds the server under test and drives it with the stock clients, raw frames and a browser.
#
#   ./run.sh                                 everything
#   ./run.sh test/http.test.mjs              these files only
#   TUTTI_REFERENCE=1 ./run.sh               the same tests against Node's own server (no browser tests: the pages are ours)
#   SCREENSHOTS=1 ./run.sh browser/*.mjs     also takes the pictures in docs/screenshots
#
# Needs Go, Node.js 20 or newer, and from Debian: python3-socketio python3-requests python3-websocket chromium prometheus
# prometheus-alertmanager logrotate systemd redis-server nats-server nginx haproxy openssl.
# Whatever is missing is an error: nothing is skipped.
set -eu
cd "$(dirname "$0")"

: "${PYTHON:=/usr/bin/python3}" "${CHROMIUM:=/usr/bin/chromium}"
export PYTHON CHROMIUM

node -e 'if (Number(process.versions.node.split(".")[0]) < 20) throw new Error("Node.js 20 or newer is needed, this is " + process.version)'
"$PYTHON" -c 'import socketio, requests, websocket'
if [ "${TUTTI_REFERENCE:-}" != 1 ] && [ ! -x "$CHROMIUM" ]; then
	echo "conformance: no browser at $CHROMIUM: apt-get install chromium, or set CHROMIUM" >&2
	exit 1
fi

if [ "${TUTTI_REFERENCE:-}" != 1 ] && ! { [ -x "${PROMETHEUS:-/usr/bin/prometheus}" ] && [ -x "${PROMTOOL:-/usr/bin/promtool}" ]; }; then
	echo "conformance: no Prometheus: apt-get install prometheus, or set PROMETHEUS and PROMTOOL" >&2
	exit 1
fi

npm ci --no-audit --no-fund --loglevel=error

if [ "${TUTTI_REFERENCE:-}" = 1 ]; then
	[ $# -gt 0 ] || set -- test/*.test.mjs
else
	../scripts/client.sh # the files that the programs carry
	bin=$(mktemp -d)
	trap 'rm -rf "$bin"' EXIT
	(cd .. && go build -o "$bin/" ./conformance/server ./cmd/tutti && go build -tags later -o "$bin/later" ./cmd/tutti)
	# The ACME server of Let's Encrypt for tests, apart from go.mod.
	GOBIN="$bin" go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1 github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@v2.10.1
	export TUTTI_SERVER="$bin/server" TUTTI_BIN="$bin/tutti" TUTTI_OTHER="$bin/later" PEBBLE="$bin/pebble" CHALLTESTSRV="$bin/pebble-challtestsrv"
	[ $# -gt 0 ] || set -- test/*.test.mjs browser/*.test.mjs operators/*.test.mjs chaos/checker.test.mjs chaos/chaos.test.mjs cluster/*.test.mjs chaos/cluster.test.mjs chaos/migrate.test.mjs
fi

node --test --test-reporter="${REPORTER:-./reporter.mjs}" --test-reporter-destination=stdout "$@"
