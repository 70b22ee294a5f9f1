#!/usr/bin/env bash
# Measures what a member costs while there are a hundred to a million of them,
# on a network in memory; see docs/performance.md. Writes table and plots there.
#
#   scripts/scale.sh [flags of bench/scale]
#
# QUICK=1    up to 10,000, and docs/performance.md is left alone
# OUT=FILE   where the results go, as JSON
#
# A million members take about 4 GB of memory and a minute.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .cache/bench
go build -trimpath -tags memnet -o .cache/bench/ ./bench/scale
flags=(-svg docs/scale.svg -doc docs/performance.md)
if [[ ${QUICK:-} == 1 ]]; then
	flags=(-members 100,1000,10000 -effort 500ms -svg .cache/bench/scale.svg)
fi
exec .cache/bench/scale -revision "$(git describe --tags --always --dirty 2>/dev/null || echo unknown)" \
	-json "${OUT:-.cache/bench/scale.json}" "${flags[@]}" "$@"
