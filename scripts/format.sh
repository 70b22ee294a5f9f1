#!/usr/bin/env bash
# Fails if a Go file isn't formatted, or a go.mod isn't tidy.
set -euo pipefail
cd "$(dirname "$0")/.."

git rev-parse --is-inside-work-tree >/dev/null # or the list below would be empty, and all well
mapfile -d '' files < <(git ls-files -z --cached --others --exclude-standard -- '*.go')
unformatted=$(for f in "${files[@]}"; do [[ -e $f ]] && printf '%s\0' "$f"; done | xargs -0r gofmt -l)
if [[ -n $unformatted ]]; then
	echo "not formatted (run gofmt -w on them):" >&2
	echo "$unformatted" >&2
	exit 1
fi
go mod tidy -diff
