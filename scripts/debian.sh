#!/usr/bin/env bash
# Installs those of the Debian packages named that are missing.
#   scripts/debian.sh chromium python3-requests
set -euo pipefail

missing=()
for package in "$@"; do
	if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
		missing+=("$package")
	fi
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
	as_root=(sudo)
	[[ -t 0 ]] || as_root=(sudo -n) # nobody is there to type a password
fi
if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! command -v sudo >/dev/null; }; then
	echo "These Debian packages are missing, and can't be installed from here: ${missing[*]}" >&2
	echo "Install them, or what your system calls them, and run this again." >&2
	exit 1
fi

echo "installing ${missing[*]}"
apt() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}
if ! { apt update && apt install --no-install-recommends "${missing[@]}"; } >&2; then
	echo "Can't install ${missing[*]}: run \"apt-get install ${missing[*]}\" as root, then this again." >&2
	exit 1
fi
