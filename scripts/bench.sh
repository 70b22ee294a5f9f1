#!/usr/bin/env bash
# Measures Node's Socket.IO, Tutti and the floors in turn and prints how they
# compare; see docs/performance.md. Server and generator have a core each.
#
#   scripts/bench.sh [flags of bench/compare]
#
# QUICK=1    small and short, to see that it works: under three minutes
# ROUNDS=3   of which the median counts; fewer if they would take more than BUDGET
# BUDGET=25m
# DOC=1      write tables and chart into docs/performance.md
# OUT=FILE   where the results go, as JSON; what was there goes to FILE.before
# AGAINST=FILE   compare the ratios with those of an earlier FILE
# CALM=30s   how long to wait, before each measurement, for a calm machine;
#            in all three minutes
# SERVER_CPU=0 LOAD_CPU=1   the cores
set -euo pipefail
cd "$(dirname "$0")/.."

command -v npm >/dev/null || {
	echo "make bench: npm is missing; it installs Node's Socket.IO to compare with (Debian: apt-get install npm)" >&2
	exit 1
}
[[ $(uname) == Linux ]] || {
	echo "make bench: the load generator needs Linux" >&2
	exit 1
}
mkdir -p .cache/bench
if ! cmp -s bench/node/package-lock.json .cache/bench/node-lock; then
	(cd bench/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
	cp bench/node/package-lock.json .cache/bench/node-lock
fi
go build -trimpath -o .cache/bench/ ./cmd/tutti ./bench/floor ./bench/compare

flags=(-rounds "${ROUNDS:-3}" -budget "${BUDGET:-25m}" -calm "${CALM:-30s}")
if [[ ${QUICK:-} == 1 ]]; then
	flags=(-quick -rounds "${ROUNDS:-1}")
fi
if [[ ${DOC:-} == 1 ]]; then
	flags+=(-doc docs/performance.md)
fi
if [[ -n ${AGAINST:-} ]]; then
	flags+=(-against "$AGAINST")
fi
out=${OUT:-.cache/bench/result.json}
if [[ -e $out && " $* " != *" -continue "* && " $* " != *" -print "* ]]; then
	mv "$out" "$out.before"
fi
exec .cache/bench/compare -tutti .cache/bench/tutti -floor .cache/bench/floor -node bench/node \
	-server-cpu "${SERVER_CPU:-0}" -load-cpu "${LOAD_CPU:-1}" \
	-revision "$(git describe --tags --always --dirty 2>/dev/null || echo unknown)" \
	-data .cache/bench -json "$out" "${flags[@]}" "$@"
