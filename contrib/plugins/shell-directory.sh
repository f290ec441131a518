#!/bin/sh
# A `shell` plugin in sh: one file per key in the directory given as the argument.
#
# It is asked by lines STUNMESH_ACTION=..., STUNMESH_KEY=... and STUNMESH_VALUE=... on standard input. What a get writes to
# standard output is the value; an exit status other than 0 is a failure, and standard error says which.
set -eu
umask 077

fail() {
  echo "$1" >&2
  exit 1
}

[ $# -eq 1 ] || fail "give a directory as the only argument"
. /dev/stdin
place=$1/$STUNMESH_KEY

case $STUNMESH_ACTION in
get)
  [ -f "$place" ] || fail "key not found"
  cat "$place"
  ;;
set)
  mkdir -p "$1"
  # Written beside its place and renamed, so that nobody ever reads a part.
  printf '%s' "$STUNMESH_VALUE" >"$place.$$"
  mv "$place.$$" "$place"
  ;;
*) fail "an action is get or set" ;;
esac
