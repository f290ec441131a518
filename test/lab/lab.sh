#!/bin/bash
# A laboratory of NATs made of network namespaces, veth pairs, nftables, wireguard-go and coturn (Linux, root).
#
#   LAB=a test/lab/lab.sh up 'nat=port' 'nat=symm v6=none'     two sites; prints a description in JSON
#   LAB=a test/lab/lab.sh exec h1 wg show                      a command on a host
#   LAB=a test/lab/lab.sh rebind r1                            a fault
#   LAB=a test/lab/lab.sh down                                 always cleans, whatever state the lab is in
#   test/lab/lab.sh gc                                         takes down every lab whose owner process is gone
#   test/lab/lab.sh help                                       all commands
#
# `lab.sh NAME ARGS` calls the function lab_NAME. The namespaces are named $LAB-* and have no link to the machine's own
# one, so no packet can leave. Labs with different names run side by side. State (pids, logs, keys) is in
# $LAB_STATE_ROOT/$LAB and goes with `down`.
#
#            $LAB-srv  198.51.100.0/24, 2001:db8:5::/64   STUN servers, UDP probe server
#               |
#            $LAB-inet  router: no private or foreign sources (BCP 38), and the table of faults
#       u1 /         \ u2
#    $LAB-r1        $LAB-r2         NAT routers, wan0 203.0.113.(8*N+2)/29, 2001:db8:a:N::2/64
#       | lan0         | lan0
#    $LAB-h1        $LAB-h2         hosts 192.168.N.2, 2001:db8:b:N::2; WireGuard wg<LAB>hN 10.99.0.N fd99::N
#
# Site N has the public address 203.0.113.(8*N+2) and gets external ports from 20000 + 10000*(rebinds mod 4) + 5000*wan
# on, 5000 wide: a program that publishes its local port instead of the mapped one is found out.

LAB=${LAB:-lab}
LAB_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
LAB_STATE_ROOT=${LAB_STATE_ROOT:-/tmp/stunmesh-lab}
LAB_WG_PORT=51820
PATH=$PATH:/usr/sbin:/sbin
S=$LAB_STATE_ROOT/$LAB

for _part in namespaces services nat site wireguard faults; do
  # shellcheck source=/dev/null
  . "$LAB_DIR/shell/$_part.sh"
done

# up [services=stun1,stun2,stund,probe] [wg=0|1] [keepalive=S] [cg1=nat=symm,hairpin=1] [cg2=...] SITE...
#    SITE is one word like 'nat=port v6=fw wans=2 via=cg1 hairpin=1'; see lab_site. Everyone is everyone's WireGuard
#    peer, without endpoints. Prints the description of the lab.
lab_up() {
  local services=stun1 wg=1 keepalive= cg1= cg2= sites=() arg
  for arg in "$@"; do
    case $arg in
      services=* | wg=* | keepalive=* | cg1=* | cg2=*) local "${arg%%=*}=${arg#*=}" ;;
      nat=* | v6=* | wans=* | via=* | hairpin=*) sites+=("$arg") ;;
      *) _die "unknown option \"$arg\"" || return ;;
    esac
  done
  lab_init || return
  _up_all || { lab_down; _die "could not come up"; }
}

_up_all() { # uses the variables of lab_up
  local jobs=() n=0 site cg
  [ -z "$services" ] || { lab_services ${services//,/ } & jobs+=($!); }
  for cg in cg1 cg2; do
    [ -n "${!cg}" ] || [[ " ${sites[*]} " == *" via=$cg "* ]] || continue
    lab_carrier "$cg" ${!cg//,/ } || { _wait_all "${jobs[@]}"; return 1; }
  done
  for site in "${sites[@]}"; do
    n=$((n + 1))
    { lab_site "$n" $site && { [ "$wg" = 0 ] || _wg_create "h$n"; }; } & jobs+=($!)
  done
  _wait_all "${jobs[@]}" || return
  [ "$wg" = 0 ] || lab_mesh "$keepalive" || return
  lab_json
}

# down: ends every process of the lab and removes its namespaces, interfaces, sockets and files
lab_down() {
  local f pid batch=
  for f in "$S"/pid/*; do
    [ ! -e "$f" ] || _kill "${f##*/}" KILL
  done
  for f in /run/netns/"$LAB"-*; do
    [ -e "$f" ] || continue
    # Whatever still lives in a namespace of this lab was started in it.
    for pid in $(ip netns pids "${f##*/}" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
    batch+="netns del ${f##*/}"$'\n'
  done
  [ -z "$batch" ] || ip -batch - <<<"${batch%$'\n'}"
  rm -f /run/wireguard/wg"${LAB}"h*.sock
  rm -rf "$S"
}

# gc: takes down every lab whose owner process is gone
lab_gc() {
  local d owner
  for d in "$LAB_STATE_ROOT"/*/; do
    owner=$(cat "$d/owner" 2>/dev/null) || continue
    [ "$(_start_time "${owner% *}")" = "${owner#* }" ] || LAB=$(basename "$d") bash "$LAB_DIR/lab.sh" down
  done
}

# guard: waits for the end of standard input, then takes the lab down
# Started by the owner with a pipe, so that the lab goes however the owner ends, SIGKILL included.
lab_guard() {
  cat >/dev/null
  lab_down
}

# exec NODE COMMAND...: runs a command on a node; process id, signals, directory and exit status pass through
lab_exec() { exec nsenter --net="/run/netns/$LAB-$1" "${@:2}"; }

# json: description for a test program
lab_json() {
  local f SITE NAT V6 VIA separator=
  printf '{"name":"%s","directory":"%s","hosts":[' "$LAB" "$S"
  for f in $(printf '%s\n' "$S"/site.* | sort -V); do
    [ -e "$f" ] || continue
    . "$f"
    printf '%s{"name":"h%s","site":%s,"nat":"%s","v6":"%s","namespace":"%s","wireguardInterface":"%s","tunnel4":"%s","tunnel6":"%s","publicKey":"%s"}' \
      "$separator" "$SITE" "$SITE" "$NAT" "$V6" "$LAB-h$SITE" "$(_wg_name "h$SITE")" "$(_tun4 "$SITE")" "$(_tun6 "$SITE")" \
      "$(cat "$S/keys/h$SITE.pub" 2>/dev/null)"
    separator=,
  done
  echo ']}'
}

# help: this list
lab_help() {
  local word rest
  echo "up [services=stun1,...] [wg=0|1] [keepalive=S] [cg1=...] [cg2=...] SITE...: builds a lab, see $LAB_DIR/lab.sh"
  sed -n -E 's/^# ([a-z0-9_]+( [^:]*)?: )/\1/p' "$LAB_DIR"/lab.sh "$LAB_DIR"/shell/*.sh | while read -r word rest; do
    ! declare -F "lab_${word%:}" >/dev/null || echo "$word $rest"
  done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  [[ $LAB =~ ^[a-z0-9]{1,8}$ ]] || { _die "LAB=\"$LAB\": 1 to 8 of a-z and 0-9 wanted"; exit 64; }
  command=${1:-help}
  declare -F "lab_$command" >/dev/null || { _die "unknown command \"$command\""; exit 64; }
  "lab_$command" "${@:2}"
fi
