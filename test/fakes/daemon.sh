#!/bin/sh
# What FreeBSD's daemon(8) does, as far as packaging/freebsd/stunmesh_ts uses it: goes into the background, writes the
# process numbers, starts its child again when it ends, and ends with it on SIGTERM. Output goes to the file of -o, or
# with -S to $SYSLOG.
output=${SYSLOG:-/dev/null} supervisor_pidfile='' child_pidfile='' delay=1
while getopts frSHR:P:p:o:T:s:l: option; do
	case $option in
	P) supervisor_pidfile=$OPTARG ;;
	p) child_pidfile=$OPTARG ;;
	o) output=$OPTARG ;;
	R) delay=$OPTARG ;;
	*) ;;
	esac
done
shift $((OPTIND - 1))

supervise() {
	# Not at the call: there the shell would keep the ones it had open, to bring them back.
	exec >>"$output" 2>&1 </dev/null
	trap 'kill -TERM "$child"; wait "$child"; rm -f "$supervisor_pidfile" "$child_pidfile"; exit' TERM
	while :; do
		"$@" &
		child=$!
		echo "$child" >"$child_pidfile"
		wait "$child"
		sleep "$delay"
	done
}

supervise "$@" &
echo $! >"$supervisor_pidfile"
# Like the real one it does not return before its child runs.
until [ -s "$child_pidfile" ]; do sleep 0.02; done
