#!/bin/bash
# run.sh COPY OUT SCRIPT NODE: boot.sh in namespaces and a control group of its own, because two systemds in one group take
# each other's processes for theirs. All of it ends when standard input does.
set -eu
[ "$1" = private ] || exec unshare --mount --propagation private bash "$0" private "$@"
shift
here=$(dirname "$0")
# Whoever ends the test ends standard input, too; then nobody may be left who reads what is said here.
trap '' INT TERM HUP PIPE

groups=$(dirname "$2")/cgroup
mkdir "$groups"
mount -t cgroup2 cgroup2 "$groups"
own=$groups$(sed -n 's/^0:://p' /proc/self/cgroup)/stunmesh-test-$$
mkdir "$own"
exec 3<&0
(
  echo "$BASHPID" >"$own/cgroup.procs"
  exec unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child bash "$here/boot.sh" "$@" </dev/null 3<&-
) &
systemd=$!
{ read -r -u 3 _ || kill -KILL "$systemd"; } &
watcher=$!
wait "$systemd" || true
kill -KILL "$watcher" 2>/dev/null || true
# The last processes are gone a moment after systemd.
until find "$own" -depth -type d -exec rmdir {} + 2>/dev/null; do sleep 0.05; done
