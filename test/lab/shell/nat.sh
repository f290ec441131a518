# What a NAT router does, as nftables rules.
#
#   nat        mapping                       filtering                     (RFC 4787 words)
#   fullcone   endpoint-independent          endpoint-independent
#   addr       endpoint-independent          address-dependent
#   port       endpoint-independent          address and port-dependent
#   symm       address and port-dependent    address and port-dependent
#   portkeep   as port, and the external port is the internal one (a plain masquerade)
#   static     as portkeep, and WireGuard's port is forwarded to the host
#   block      UDP is dropped
#
# Mapping: "masquerade to :RANGE" picks a random free port for the first packet of an inner address and port, and the
# kernel takes the same one for other destinations: endpoint-independent. With "random,fully-random" it does not:
# symmetric. Filtering: conntrack by itself is address and port-dependent; the chain "learn" writes every mapping into
# maps (external port to inner address, to inner port) and a set (external port with remote address), from which the
# chain "pre" lets others in. Two maps because nft 1.0.6 aborts on one with a concatenated value.

# _nat_rules NODE: the ruleset, from the node's state file
_nat_rules() {
  local NAT V6 HAIRPIN BLOCK GENERATION WANS HOST4 HOST6 ADDRESS0 VIA CURRENT PREFIX
  . "$S/node.$1"
  echo "table inet firewall
delete table inet firewall
table inet firewall {
  chain forwarded { type filter hook forward priority 0; policy accept;"
  [ "$BLOCK" = 0 ] || echo "    meta l4proto udp counter drop"
  echo "    iifname \"wan*\" ct state established,related accept
    iifname \"wan*\" ct status dnat accept"
  [ "$V6" != open ] || echo "    iifname \"wan*\" meta nfproto ipv6 accept"
  # Without the drop for the router itself, a peer's packet that comes before our first one would leave a conntrack
  # entry for the router, and our packet would be mapped to another port for as long as the peer keeps trying.
  echo "    iifname \"wan*\" icmpv6 type packet-too-big accept
    iifname \"wan*\" counter drop
  }
  chain own { type filter hook input priority 0; policy accept;
    iifname \"wan*\" ct state established,related accept
    iifname \"wan*\" meta l4proto udp counter drop
  }
}"
  _nat_family ip ipv4_addr "$NAT" "$HOST4"
  if [ "$V6" = nat66 ]; then _nat_family ip6 ipv6_addr "$NAT" "$HOST6"; fi
}
_nat_family() { # FAMILY ADDRESS_TYPE NAT HOST; uses the variables of _nat_rules
  local fam=$1 type=$2 nat=$3 host=$4 w low range
  echo "table $fam nat
delete table $fam nat
table $fam nat {
  map inner_address { type inet_service : $type; flags dynamic,timeout; timeout 120s; size 65535; }
  map inner_port { type inet_service : inet_service; flags dynamic,timeout; timeout 120s; size 65535; }
  set allowed { type inet_service . $type; flags dynamic,timeout; timeout 120s; size 65535; }
  chain pre { type nat hook prerouting priority dstnat; policy accept;"
  case $nat in
    fullcone) echo "    iifname \"wan*\" dnat $fam to udp dport map @inner_address : udp dport map @inner_port" ;;
    addr) echo "    iifname \"wan*\" udp dport . $fam saddr @allowed dnat $fam to udp dport map @inner_address : udp dport map @inner_port" ;;
    static) echo "    iifname \"wan*\" udp dport $LAB_WG_PORT dnat $fam to $host" ;;
  esac
  [ "$HAIRPIN$fam" != 1ip ] ||
    echo "    iifname \"lan0\" ip daddr $ADDRESS0 dnat ip to udp dport map @inner_address : udp dport map @inner_port"
  echo "  }
  chain post { type nat hook postrouting priority srcnat; policy accept;"
  for ((w = 0; w < WANS; w++)); do
    low=$((20000 + 10000 * (GENERATION % 4) + 5000 * w))
    range=$low-$((low + 4999))
    case $nat in
      symm) echo "    oifname \"wan$w\" meta l4proto udp masquerade to :$range random,fully-random" ;;
      portkeep | static) ;;
      *) echo "    oifname \"wan$w\" meta l4proto udp masquerade to :$range" ;;
    esac
    [ "$HAIRPIN$fam$w" != 1ip0 ] ||
      echo "    oifname \"lan0\" iifname \"lan0\" meta l4proto udp snat to $ADDRESS0:$range"
  done
  echo "    oifname \"wan*\" masquerade
  }
  chain learn { type filter hook postrouting priority srcnat + 10; policy accept;
    oifname \"wan*\" meta l4proto udp update @inner_address { udp sport : ct original $fam saddr }
    oifname \"wan*\" meta l4proto udp update @inner_port { udp sport : ct original proto-src }
    oifname \"wan*\" meta l4proto udp update @allowed { udp sport . $fam daddr }
  }
}"
}
_nat_apply() { _nat_rules "$1" | _ns "$1" nft -f - || _die "cannot set the rules of $1"; }
# Replaces the rules and forgets every mapping.
_nat_reset() { _nat_apply "$1" && _ns "$1" conntrack -F >/dev/null 2>&1; }

_node_set() { # NODE KEY VALUE
  sed -i "s|^$2=.*|$2=$3|" "$S/node.$1"
}
_node_get() { # NODE KEY
  sed -n "s/^$2=//p" "$S/node.$1"
}
