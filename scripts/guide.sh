#!/usr/bin/env bash
# Does what docs/operations.md says under "1. Install", up to the server that runs, with a real systemd on a copy of this
# machine: in namespaces of its own, over its files, none of which it changes. Needs root and Debian.
#   scripts/guide.sh bin/tutti
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
program=$(realpath "$1")
if ((EUID != 0)); then
	echo "guide.sh: only root can start a systemd of its own" >&2
	exit 1
fi
"$here/scripts/debian.sh" systemd logrotate curl iproute2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cp "$program" "$out/tutti"

# The commands of the page, as they stand there: all blocks up to nginx, but for the build.
{
	echo 'set -euxo pipefail; cd /repository; mkdir -p bin; cp /out/tutti bin/tutti'
	sed -n '/^## 1\. Install/,/^### nginx/p' "$here/docs/operations.md" | sed -n '/^```sh/,/^```$/p' | grep -v '^```' | grep -v '^make build'
	cat <<'CHECKS'
[[ $(stat -c '%U %a' /var/lib/tutti) == "tutti 700" ]]
[[ $(stat -c '%U %a' /var/log/tutti/audit.jsonl) == "tutti 600" ]]
tutti disconnect --data /var/lib/tutti --user nobody --reason 'a try'
grep '"action":"disconnect"' /var/log/tutti/audit.jsonl
logrotate --force /etc/logrotate.d/tutti
for _ in {1..50}; do [[ ! -s /var/log/tutti/audit.jsonl ]] || break; sleep 0.1; done
grep '"from":"SIGHUP","action":"reload"' /var/log/tutti/audit.jsonl
grep '"action":"disconnect"' /var/log/tutti/audit.jsonl.1
systemctl reload tutti
systemctl is-active tutti
systemctl stop tutti
[[ $(systemctl show tutti -p Result --value) == success ]]
touch /out/passed
CHECKS
} >"$out/follow.sh"

cat >"$out/follow.service" <<'END'
[Unit]
DefaultDependencies=no
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/bash /out/follow.sh
StandardOutput=file:/out/log
StandardError=file:/out/log
ExecStopPost=/bin/systemctl exit --force --force
END

cat >"$out/machine.sh" <<'END'
set -euo pipefail
mount --make-rprivate /
ip link set lo up
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/root /mnt/{up,work}{1,2}
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up1,workdir=/mnt/work1 /mnt/root
cd /mnt/root
mkdir -p out repository
mount --bind "$1" out
mount -t overlay overlay -o "lowerdir=$2,upperdir=/mnt/up2,workdir=/mnt/work2" repository
mount -t proc proc proc
mount --rbind /sys sys
mount -t cgroup2 none sys/fs/cgroup
mount --rbind /dev dev
for name in run tmp; do mount -t tmpfs tmpfs "$name"; done
cp out/follow.service etc/systemd/system/
container=other exec chroot . /lib/systemd/systemd --system --unit=follow.service --log-target=null --show-status=no
END

timeout --kill-after=5 120 unshare --mount --pid --fork --cgroup --ipc --uts --net --mount-proc bash "$out/machine.sh" "$out" "$here" || true
cat "$out/log"
[[ -e $out/passed ]] || { echo "guide.sh: what docs/operations.md says went wrong, see above" >&2; exit 1; }
echo "guide.sh: all went as docs/operations.md says"
