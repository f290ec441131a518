# Addresses, background processes and the configuration of one namespace; the internet in the middle.

_die() { echo "lab $LAB: $*" >&2; return 1; }

# _ns NODE COMMAND...: runs a command in a node's network namespace
_ns() { nsenter --net="/run/netns/$LAB-$1" "${@:2}"; }

# ------------------------------------------------------------------------------------------------------ addresses
# Every uplink has a number: first uplink of site N = N (1..15), second = 15 + N, the carriers = 31 and 0.
_uplink_of() { # NODE [WAN]
  case $1 in
    cg1) echo 31 ;;
    cg2) echo 0 ;;
    *) echo $((${1//[!0-9]/} + 15 * ${2:-0})) ;;
  esac
}
_up4() { echo "203.0.113.$(($1 * 8 + $2))"; }           # UPLINK K
_up6() { printf '2001:db8:a:%x::%x\n' "$1" "$2"; }      # UPLINK K
_lan6() { printf '2001:db8:b:%x::%s\n' "$1" "$2"; }     # SITE SUFFIX

# ------------------------------------------------------------------------------------------------------ processes
# _spawn NAME NODE COMMAND...: a background process on a node; its pid and start time are written down
_spawn() {
  local name=$1 node=$2 pid
  nsenter --net="/run/netns/$LAB-$node" "${@:3}" </dev/null >"$S/log/$name.log" 2>&1 &
  pid=$!
  disown "$pid" 2>/dev/null
  echo "$pid $(_start_time "$pid")" >"$S/pid/$name"
}
# Field 22 of /proc/PID/stat: with the pid it names a process once and for all. The name in field 2 may hold spaces.
_start_time() {
  local stat fields
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || { echo gone; return; }
  read -ra fields <<<"${stat##*) }"
  echo "${fields[19]}"
}
_running() { # NAME
  local pid started
  { read -r pid started <"$S/pid/$1"; } 2>/dev/null && [ "$(_start_time "$pid")" = "$started" ]
}
# _kill NAME [SIGNAL]: ends a recorded process and waits until it is gone
_kill() {
  local pid started i
  { read -r pid started <"$S/pid/$1"; } 2>/dev/null || return 0
  rm -f "$S/pid/$1"
  [ "$(_start_time "$pid")" = "$started" ] || return 0
  kill -"${2:-TERM}" "$pid" 2>/dev/null
  for i in {1..200}; do
    [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 0
    sleep 0.01
  done
}
_wait_all() {
  local pid failed=0
  for pid in "$@"; do wait "$pid" || failed=1; done
  return $failed
}
# _wait_for SECONDS COMMAND...: until the command succeeds
_wait_for() {
  local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
  until "${@:2}" 2>/dev/null; do
    [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
    sleep 0.01
  done
}

# ----------------------------------------------------------------------------------------------- one namespace's setup
_FORWARD="ipv4/ip_forward=1 ipv6/conf/all/forwarding=1"
# _setup NODE IP_BATCH NFT_RULES [SYSCTL=VALUE...]: all of it with one nsenter
_setup() {
  _ns "$1" bash -c '
    batch=$1; rules=$2; shift 2; cd /proc/sys/net
    for kv in ipv4/conf/all/rp_filter=0 ipv4/conf/default/rp_filter=0 ipv6/conf/default/accept_ra=0 \
              ipv6/conf/all/disable_ipv6=0 ipv6/conf/default/disable_ipv6=0 "$@"; do
      echo "${kv#*=}" >"${kv%%=*}" || exit 1
    done
    # With these, frames that were DNAT-ed are bridged on instead of routed and hairpinning loses its SNAT.
    for f in bridge/bridge-nf-call-ip*; do [ ! -e "$f" ] || echo 0 >"$f"; done
    # Per interface, because "all" does not reach those that exist: otherwise a link-local address is tentative for
    # 1-2 s and the first neighbour solicitations are lost.
    for f in ipv6/conf/*/accept_dad ipv6/conf/*/router_solicitations; do echo 0 >"$f"; done
    [ -z "$batch" ] || ip -batch - <<<"$batch" || exit 1
    [ -z "$rules" ] || nft -f - <<<"$rules"' _ "${@:2}" || _die "cannot set up $1"
}

# ------------------------------------------------------------------------------------------------------ the internet
# The two ends of every veth get different interface numbers ("index"): with equal ones, which fresh namespaces would
# give, the kernel takes the carrier event as not urgent and IPv6 comes up to 1 s later.
lab_init() {
  [ ! -e "/run/netns/$LAB-inet" ] || _die "is already up" || return
  rm -rf "$S"
  mkdir -p "$S"/{log,pid,keys,faults} || return
  local owner=${LAB_OWNER_PID:-$PPID} jobs=() a servers
  # In one step: another process may be looking for labs without an owner.
  echo "$owner $(_start_time "$owner")" >"$S/owner.new"
  mv "$S/owner.new" "$S/owner"
  ip -batch - <<<"netns add $LAB-inet
netns add $LAB-srv
link add srv index 99 netns $LAB-inet type veth peer name eth0 netns $LAB-srv" || _die "cannot make namespaces" || return
  _setup inet "link set lo up
addr add 198.51.100.1/24 dev srv
addr add 2001:db8:5::1/64 dev srv nodad
link set srv up" "table inet core {
  counter private {}
  counter foreign {}
  chain pre { type filter hook prerouting priority -300; policy accept;
    iifname \"u*\" ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 } counter name private drop
    iifname \"u*\" ip6 saddr fc00::/7 counter name private drop
    iifname \"u*\" ip6 saddr != fe80::/10 fib saddr . iif oif missing counter name foreign drop
    iifname \"u*\" meta nfproto ipv4 fib saddr . iif oif missing counter name foreign drop
  }
}" $_FORWARD & jobs+=($!)
  servers="link set lo up
link set eth0 up"
  for a in 10 11 20 30 40 41; do
    servers+="
addr add 198.51.100.$a/24 dev eth0
addr add 2001:db8:5::$a/64 dev eth0 nodad"
  done
  _setup srv "$servers
route add default via 198.51.100.1
route add default via 2001:db8:5::1" "" & jobs+=($!)
  _wait_all "${jobs[@]}"
}

# The internet's side of an uplink: UPLINK [IPV6_ROUTE...]
_uplink() {
  local batch r
  batch="addr add $(_up4 "$1" 1)/29 dev u$1
addr add $(_up6 "$1" 1)/64 dev u$1 nodad
link set u$1 up"
  for r in "${@:2}"; do batch+="
route add $r via $(_up6 "$1" 2)"; done
  ip -n "$LAB-inet" -batch - <<<"$batch"
}

# leaks: how many packets came to the internet with a private or a foreign source address (and were dropped)
lab_leaks() { _ns inet nft list counters table inet core | awk '/counter/ {name = $2} /packets/ {print name, $2}'; }
