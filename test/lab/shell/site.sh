# Sites (a NAT router and a host behind it) and carriers (a NAT that customers share, CGNAT).

# The file of a node's facts, which its rules are made from.
_node_write() { # NODE KEY=VALUE...
  printf '%s\n' BLOCK=0 GENERATION=0 VIA= HOST4= HOST6= CURRENT=0 PREFIX=0 WANS=1 "${@:2}" >"$S/node.$1"
}

# lab_carrier cg1|cg2 [nat=port] [hairpin=0|1]: public 203.0.113.250 (cg1) or .2 (cg2), customers 100.64.1.x or 100.64.2.x
lab_carrier() {
  local cg=$1 nat=port hairpin=0 kv c up jobs=()
  for kv in "${@:2}"; do
    case $kv in nat=* | hairpin=*) local "$kv" ;; *) _die "unknown option \"$kv\" of $cg" || return ;; esac
  done
  c=${cg#cg}
  up=$(_uplink_of "$cg")
  _node_write "$cg" NAT="$nat" V6=open HAIRPIN="$hairpin" ADDRESS0="$(_up4 "$up" 2)"
  ip -batch - <<<"netns add $LAB-$cg
link add u$up index $((100 + up)) netns $LAB-inet type veth peer name wan0 netns $LAB-$cg" || return
  _uplink "$up" & jobs+=($!)
  _setup "$cg" "link set lo up
addr add $(_up4 "$up" 2)/29 dev wan0
addr add $(_up6 "$up" 2)/64 dev wan0 nodad
link set wan0 up
link add lan0 type bridge forward_delay 0
addr add 100.64.$c.1/24 dev lan0
addr add 2001:db8:c:$c::1/64 dev lan0 nodad
link set lan0 up
route add default via $(_up4 "$up" 1)
route add default via $(_up6 "$up" 1)" "$(_nat_rules "$cg")" $_FORWARD & jobs+=($!)
  _wait_all "${jobs[@]}"
}

# lab_site N [nat=KIND] [v6=fw|open|nat66|none] [wans=1|2] [via=cg1|cg2] [hairpin=0|1]
#   nat   see nat.sh; direct = no router, the host itself has the public address
#   v6    fw = stateful firewall, open = none, nat66 = NAT as for IPv4, none = no IPv6
#   wans  uplinks of the router; traffic takes the first until `wan_switch`
#   via   behind a carrier's NAT as well
lab_site() {
  local N=$1 nat=port v6=fw wans=1 via= hairpin=0 kv
  for kv in "${@:2}"; do
    case $kv in
      nat=fullcone | nat=addr | nat=port | nat=symm | nat=portkeep | nat=static | nat=block | nat=direct | \
        v6=fw | v6=open | v6=nat66 | v6=none | wans=[12] | via=cg[12] | hairpin=[01]) local "$kv" ;;
      *) _die "unknown option \"$kv\" of site $N" || return ;;
    esac
  done
  [ "$N" -le 15 ] || _die "at most 15 sites" || return
  printf '%s\n' SITE="$N" NAT="$nat" V6="$v6" VIA="$via" >"$S/site.$N"
  if [ "$nat" = direct ]; then _site_direct; else _site_behind_nat; fi
}

_site_direct() { # uses the variables of lab_site
  local jobs=() host up=$N
  ip -batch - <<<"netns add $LAB-h$N
link add u$up index $((100 + up)) netns $LAB-inet type veth peer name eth0 netns $LAB-h$N" || return
  _uplink "$up" & jobs+=($!)
  host="link set lo up
addr add $(_up4 "$up" 2)/29 dev eth0
link set eth0 up
route add default via $(_up4 "$up" 1)"
  [ "$v6" = none ] || host+="
addr add $(_up6 "$up" 2)/64 dev eth0 nodad
route add default via $(_up6 "$up" 1)"
  _setup "h$N" "$host" "" & jobs+=($!)
  _wait_all "${jobs[@]}"
}

_site_behind_nat() { # uses the variables of lab_site
  local lan=192.168.$N r=r$N jobs=() block=0 address0 lan6 links router host w
  [ "$nat" != block ] || { nat=port block=1; }
  address0=$(_up4 "$N" 2)
  [ -z "$via" ] || address0=100.64.${via#cg}.$((10 + N))
  case $v6 in nat66) lan6=fd00:$N:: ;; *) lan6=$(_lan6 "$N" "") ;; esac
  _node_write "$r" NAT="$nat" V6="$v6" HAIRPIN="$hairpin" BLOCK="$block" WANS="$wans" VIA="$via" \
    HOST4="$lan.2" HOST6="${lan6}2" ADDRESS0="$address0"

  links="netns add $LAB-$r
netns add $LAB-h$N
link add lan0 index 50 netns $LAB-$r type veth peer name eth0 netns $LAB-h$N"
  if [ -n "$via" ]; then
    links+="
link add c$N index $((100 + N)) netns $LAB-$via type veth peer name wan0 netns $LAB-$r"
  else
    for ((w = 0; w < wans; w++)); do
      links+="
link add u$((N + 15 * w)) index $((100 + N + 15 * w)) netns $LAB-inet type veth peer name wan$w netns $LAB-$r"
    done
  fi
  ip -batch - <<<"$links" || return

  router="link set lo up
addr add $lan.1/24 dev lan0
link set lan0 up"
  host="link set lo up
addr add $lan.2/24 dev eth0
link set eth0 up
route add default via $lan.1"
  if [ "$v6" != none ]; then
    router+="
addr add ${lan6}1/64 dev lan0 nodad"
    host+="
addr add ${lan6}2/64 dev eth0 nodad
route add default via ${lan6}1"
  fi
  if [ -n "$via" ]; then _site_via_carrier; else _site_uplinks; fi
  _setup "$r" "$router" "$(_nat_rules "$r")" $_FORWARD & jobs+=($!)
  _setup "h$N" "$host" "" & jobs+=($!)
  _wait_all "${jobs[@]}"
}
# Both add to `router` what the WAN side needs and configure the other end of the cable.
_site_uplinks() {
  local up routed
  for ((w = 0; w < wans; w++)); do
    up=$((N + 15 * w)) routed=
    router+="
addr add $(_up4 "$up" 2)/29 dev wan$w
link set wan$w up
route add default via $(_up4 "$up" 1) dev wan$w metric $((100 + 100 * w))"
    [ "$v6" = none ] || router+="
addr add $(_up6 "$up" 2)/64 dev wan$w nodad
route add default via $(_up6 "$up" 1) dev wan$w metric $((100 + 100 * w))"
    # The site's IPv6 prefix belongs to its first uplink.
    case $w$v6 in 0fw | 0open) routed=$lan6/64 ;; esac
    _uplink "$up" $routed & jobs+=($!)
  done
}
_site_via_carrier() {
  local c=${via#cg} own6 carrier
  own6=2001:db8:c:$c::$(printf %x $((10 + N)))
  router+="
addr add 100.64.$c.$((10 + N))/24 dev wan0
link set wan0 up
route add default via 100.64.$c.1"
  carrier="link set c$N master lan0
link set c$N up"
  [ "$v6" = none ] || router+="
addr add $own6/64 dev wan0 nodad
route add default via 2001:db8:c:$c::1"
  case $v6 in
    fw | open)
      carrier+="
route add $lan6/64 via $own6"
      ip -n "$LAB-inet" -6 route add "$lan6/64" via "$(_up6 "$(_uplink_of "$via")" 2)"
      ;;
  esac
  ip -n "$LAB-$via" -batch - <<<"$carrier"
}
