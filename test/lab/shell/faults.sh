# What can go wrong. NODE is a router (r1), a direct host (h1) or a carrier (cg1); W is the number of the uplink, 0 or 1.

# The internet's end of a node's uplink.
_uplink_behind() { # NODE [W]
  local via=
  case $1 in r*) via=$(_node_get "$1" VIA) ;; esac
  _uplink_of "${via:-$1}" "${2:-0}"
}

# rebind NODE [keep]: the NAT forgets its mappings and takes ports from another range (or, with keep, the same)
lab_rebind() {
  [ "${2:-}" = keep ] || _node_set "$1" GENERATION $(($(_node_get "$1" GENERATION) + 1))
  _nat_reset "$1"
}
# nat NODE KIND: a running router becomes another kind of NAT
lab_nat() { _node_set "$1" NAT "$2" && _nat_reset "$1"; }

# wan_addr NODE K [W]: the WAN address becomes the K-th (2..6) of its /29; the mappings of the old one die with it
lab_wan_addr() {
  local up w=${3:-0}
  up=$(_uplink_of "$1" "$w")
  [ -z "$(_node_get "$1" VIA)" ] || _die "$1 is behind a carrier: give the carrier another address" || return
  ip -n "$LAB-$1" -4 addr flush dev "wan$w"
  ip -n "$LAB-$1" -batch - <<<"addr add $(_up4 "$up" "$2")/29 dev wan$w
route replace default via $(_up4 "$up" 1) dev wan$w metric $((100 + 100 * w))" || return
  [ "$w" != 0 ] || _node_set "$1" ADDRESS0 "$(_up4 "$up" "$2")"
  [ "$(_node_get "$1" HAIRPIN)" = 0 ] || _nat_apply "$1"
}

# renumber6 NODE: the site gets another IPv6 prefix (2001:db8:b<count>:N::/64) and the old one is withdrawn
lab_renumber6() {
  local n=${1#r} count old new
  count=$(_node_get "$1" PREFIX)
  old=$(printf '2001:db8:b%s:%x::' "${count#0}" "$n")
  new=$(printf '2001:db8:b%s:%x::' $((count + 1)) "$n")
  _node_set "$1" PREFIX $((count + 1))
  ip -n "$LAB-inet" -batch - <<<"route del ${old}/64
route add ${new}/64 via $(_up6 "$(_uplink_of "$1" "$(_node_get "$1" CURRENT)")" 2)" &&
    ip -n "$LAB-$1" -batch - <<<"addr del ${old}1/64 dev lan0
addr add ${new}1/64 dev lan0 nodad" &&
    ip -n "$LAB-h$n" -batch - <<<"addr del ${old}2/64 dev eth0
addr add ${new}2/64 dev eth0 nodad
route replace default via ${new}1 dev eth0"
}

# uplink NODE down|up [W]: no carrier on the internet's side
lab_uplink() {
  local up
  up=$(_uplink_behind "$1" "${3:-0}")
  ip -n "$LAB-inet" link set "u$up" "$2" || return
  [ "$2" = up ] || return 0
  # The kernel dropped the IPv6 address and routes of the internet's side with the link.
  ip -n "$LAB-inet" -6 addr replace "$(_up6 "$up" 1)/64" dev "u$up" nodad
  case $1$(_node_get "$1" V6 2>/dev/null) in r*fw | r*open)
    [ "${3:-0}" != "$(_node_get "$1" CURRENT)" ] ||
      ip -n "$LAB-inet" -6 route replace "$(_prefix6 "$1")" via "$(_up6 "$up" 2)" ;;
  esac
}
_prefix6() { # NODE
  local count
  count=$(_node_get "$1" PREFIX)
  printf '2001:db8:b%s:%x::/64\n' "${count#0}" "${1#r}"
}

# wan_switch NODE W: the router of a site with wans=2 sends by the other uplink; its IPv6 prefix moves along
lab_wan_switch() {
  local w=$2 o=$((1 - $2)) up other fam address
  up=$(_uplink_of "$1" "$w")
  other=$(_uplink_of "$1" "$o")
  for fam in 4 6; do
    [ "$fam$(_node_get "$1" V6)" != 6none ] || continue
    address=_up$fam
    _ns "$1" bash -c "ip -$fam route flush default; ip -batch - <<<'route add default via $($address "$up" 1) dev wan$w metric 100
route add default via $($address "$other" 1) dev wan$o metric 200'" || return
  done
  case $(_node_get "$1" V6) in fw | open) ip -n "$LAB-inet" -6 route replace "$(_prefix6 "$1")" via "$(_up6 "$up" 2)" ;; esac
  _node_set "$1" CURRENT "$w"
}

# ----------------------------------------------------------------------------- faults of the internet: one table of drops
# _fault NAME RULES: sets (or with empty RULES clears) one fault; the table is made anew from all of them
_fault() {
  if [ -n "$2" ]; then echo "$2" >"$S/faults/$1"; else rm -f "$S/faults/$1"; fi
  { echo "table inet faults
delete table inet faults
table inet faults {
  chain drops { type filter hook forward priority 10; policy accept;"
    cat "$S"/faults/* 2>/dev/null
    echo "  }
}"; } | _ns inet nft -f - || _die "cannot set the fault $1"
}
_fault_on_uplink() { # NAME UPLINK MATCH
  _fault "$1-u$2" "iifname \"u$2\" $3 counter drop
oifname \"u$2\" $3 counter drop"
}

# loss NODE PERCENT [W]: random loss in both directions; 0 ends it
lab_loss() {
  local up
  up=$(_uplink_behind "$1" "${3:-0}")
  if [ "$2" = 0 ]; then _fault "loss-u$up" ""; else
    _fault_on_uplink loss "$up" "numgen random mod 1000 < $(($2 * 10))"
  fi
}
# delay NODE MS|off [JITTER_MS] [W]: every packet of the uplink takes so much longer, in each direction (tools/delay.py)
lab_delay() {
  local up queue
  up=$(_uplink_behind "$1" "${4:-0}")
  queue=$((100 + up))
  _kill "delay-u$up" KILL
  # At different hooks: a packet that was let go goes on at the next one, so that two uplinks on its way delay it twice.
  _delay_rules D "$up" "$queue" 2>/dev/null
  [ "$2" != off ] || return 0
  _spawn "delay-u$up" inet python3 "$LAB_DIR/tools/delay.py" "$queue" "$2" "${3:-0}"
  _wait_for 10 grep -qx ready "$S/log/delay-u$up.log" || _die "delay: $(cat "$S/log/delay-u$up.log")" || return
  _delay_rules A "$up" "$queue"
}
_delay_rules() { # A|D UPLINK QUEUE
  local tables
  for tables in iptables ip6tables; do
    _ns inet "$tables" -w -t mangle "-$1" FORWARD -i "u$2" -j NFQUEUE --queue-num "$3" --queue-bypass &&
      _ns inet "$tables" -w -t mangle "-$1" POSTROUTING -o "u$2" -j NFQUEUE --queue-num "$3" --queue-bypass || return
  done
}
# blackhole NODE on|off [W]: the uplink swallows everything
lab_blackhole() {
  local up
  up=$(_uplink_behind "$1" "${3:-0}")
  if [ "$2" = off ]; then _fault "blackhole-u$up" ""; else _fault_on_uplink blackhole "$up" ""; fi
}
# udp_block NODE on|off [W]: the uplink swallows UDP
lab_udp_block() {
  local up
  up=$(_uplink_behind "$1" "${3:-0}")
  if [ "$2" = off ]; then _fault "udp-u$up" ""; else _fault_on_uplink udp "$up" "meta l4proto udp"; fi
}
# p2p_block N M on|off: sites N and M reach the servers, but not each other
lab_p2p_block() {
  if [ "$3" = off ]; then _fault "p2p-$1-$2" ""; else
    _fault "p2p-$1-$2" "iifname \"u$1\" oifname \"u$2\" counter drop
iifname \"u$2\" oifname \"u$1\" counter drop"
  fi
}
# stun_block SERVICE on|off: nothing reaches the server and nothing says so, unlike stun_stop
lab_stun_block() {
  local to4 to6
  case $1 in
    stun1) to4="198.51.100.10, 198.51.100.11" to6="2001:db8:5::10, 2001:db8:5::11" ;;
    stun2) to4=198.51.100.20 to6=2001:db8:5::20 ;;
    stund) to4=198.51.100.30 to6=2001:db8:5::30 ;;
    *) _die "unknown STUN server \"$1\"" || return ;;
  esac
  if [ "$2" = off ]; then _fault "stun-$1" ""; else
    _fault "stun-$1" "ip daddr { $to4 } meta l4proto udp counter drop
ip6 daddr { $to6 } meta l4proto udp counter drop"
  fi
}
