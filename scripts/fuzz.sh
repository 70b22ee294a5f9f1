#!/usr/bin/env bash
# Runs every fuzzer of the repository for the time given, one after the other.
# Minimizing is kept short: by default it may take a minute and eat all of it.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
failed=()
while read -r package; do
	names=$(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
	for name in $names; do
		echo "== $package $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "$package" || failed+=("$package.$name")
	done
done < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
if ((${#failed[@]})); then
	echo "failed: ${failed[*]}" >&2
	exit 1
fi
