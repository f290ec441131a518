#!/bin/sh
# A store for the plugin `shell` that misbehaves on demand: "store.sh DIRECTORY". The word in DIRECTORY/mode says how:
#
#   ok         (also without the file) one file per key, and the first and the previous value beside it
#   error      every call fails                        hang       no call ends
#   garbage    a get gives text that is no record      slow       every call takes 5 s
#   empty      a get gives nothing                     stale      a get gives what was there when the mode began
#   rollback   a get gives the first value there was   reflected  a get gives the value of another key
#
# A set is obeyed in every mode but error and hang.
dir=$1
. /dev/stdin
mode=ok
[ ! -e "$dir/mode" ] || read -r mode <"$dir/mode"
key=$dir/$STUNMESH_KEY

case $mode in
  error) echo "out of order" >&2; exit 1 ;;
  hang) exec sleep 3600 ;;
  slow) sleep 5 ;;
esac

case $STUNMESH_ACTION in
  set)
    temporary=$key.$$.new
    printf '%s' "$STUNMESH_VALUE" >"$temporary"
    [ -e "$key.first" ] || cp "$temporary" "$key.first"
    mv "$temporary" "$key"
    exit 0
    ;;
esac

case $mode in
  garbage) echo 00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff ;;
  empty) ;;
  stale) cat "$dir/stale/$STUNMESH_KEY" ;;
  rollback) cat "$key.first" ;;
  reflected)
    for other in "$dir"/*; do
      case ${other##*/} in "$STUNMESH_KEY" | *.* | mode | stale) ;; *) cat "$other" ;; esac
    done
    ;;
  *) [ ! -e "$key" ] || cat "$key" ;;
esac
