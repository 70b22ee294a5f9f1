#!/usr/bin/env bash
# Installs the official Socket.IO client files into internal/clientfiles/dist,
# from which they are embedded. Does nothing when they are there at the pinned
# version; "-f" does it all the same.
set -euo pipefail
cd "$(dirname "$0")/../internal/clientfiles"

stamp=node_modules/.tutti-lock
if [[ ${1-} != -f && -f dist/socket.io.js ]] && cmp -s package-lock.json "$stamp"; then
	exit 0
fi
command -v npm >/dev/null || {
	echo "make client: npm is missing; it installs the official Socket.IO client files (Debian: apt-get install npm)" >&2
	exit 1
}
echo "installing the Socket.IO client files"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
find dist -type f ! -name README -delete
for build in socket.io.js socket.io.min.js socket.io.esm.min.js socket.io.msgpack.min.js; do
	cp "node_modules/socket.io/client-dist/$build" "node_modules/socket.io/client-dist/$build.map" dist/
done
cp node_modules/socket.io/LICENSE dist/
cp package-lock.json "$stamp"
