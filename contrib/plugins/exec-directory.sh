#!/bin/sh
# An `exec` plugin in sh: one file per key in the directory given as the argument.
#
# It is asked by one line of JSON on standard input and answers by one JSON object on standard output. Keys and values are
# hexadecimal, so that sed is enough to take them out.
set -u
umask 077

answer() {
  printf '%s\n' "$1"
  exit 0
}
fail() {
  answer "{\"success\":false,\"error\":\"$1\"}"
}
# The text of the member $1 of the request.
member() {
  printf '%s' "$request" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([0-9A-Za-z]*\)\".*/\1/p"
}

[ $# -eq 1 ] || fail "give a directory as the only argument"
read -r request || fail "no request on standard input"
key=$(member key)
[ "${#key}" -eq 40 ] || fail "a key is 40 hexadecimal characters"
place=$1/$key

case $(member action) in
get)
  [ -f "$place" ] || fail "key not found"
  value=$(cat "$place") || fail "cannot read the value"
  answer "{\"success\":true,\"value\":\"$value\"}"
  ;;
set)
  value=$(member value)
  [ -n "$value" ] || fail "no value to set"
  # Written beside its place and renamed, so that nobody ever reads a part.
  mkdir -p "$1" && printf '%s' "$value" >"$place.$$" && mv "$place.$$" "$place" || fail "cannot write the value"
  answer '{"success":true}'
  ;;
*) fail "an action is get or set" ;;
esac
