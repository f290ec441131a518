# WireGuard on the hosts: wireguard-go, because a namespace may be had where the kernel's module may not; with
# LAB_WG=kernel the kernel's.
# Interface names are unique on the machine: /run/wireguard, where wg(8) looks for the sockets, is shared by all.

_wg_name() { echo "wg$LAB$1"; }
_tun4() { echo "10.99.0.$1"; }
_tun6() { printf 'fd99::%x\n' "$1"; }

_wg_create() { # HOST
  (umask 077 && wg genkey >"$S/keys/$1.key") && wg pubkey <"$S/keys/$1.key" >"$S/keys/$1.pub" && lab_wg_start "$1"
}

# wg_start HOST [PORT]: wireguard-go with the host's key and, after the first time, its peers (without endpoints)
lab_wg_start() {
  local n=${1#h} name
  name=$(_wg_name "$1")
  if [ "${LAB_WG:-go}" = kernel ]; then
    ip -n "$LAB-$1" link add "$name" type wireguard || _die "the kernel has no WireGuard" || return
  else
    mkdir -p /run/wireguard
    _spawn "wg-$1" "$1" env LOG_LEVEL="${LAB_WG_LOG:-error}" wireguard-go -f "$name"
    _wait_for 60 _listens_for_wg "$1" "$name" ||
      _die "wireguard-go of $1 did not start: $(cat "$S/log/wg-$1.log")" || return
  fi
  _ns "$1" wg set "$name" listen-port "${2:-$LAB_WG_PORT}" private-key "$S/keys/$1.key" &&
    { [ ! -e "$S/keys/$1.peers" ] || _ns "$1" wg addconf "$name" "$S/keys/$1.peers"; } &&
    ip -n "$LAB-$1" -batch - <<<"addr add $(_tun4 "$n")/24 dev $name
addr add $(_tun6 "$n")/64 dev $name nodad
link set $name mtu 1420 up" || _die "cannot configure WireGuard of $1"
}
# It listens (__SO_ACCEPTCON), which is a moment after the socket is there: wg(8) removes a socket that refuses it.
_listens_for_wg() { _ns "$1" grep -q "00010000 .*/$2\.sock\$" /proc/net/unix; } # HOST INTERFACE
# wg_stop HOST: wireguard-go ends, and its interface goes
lab_wg_stop() {
  if [ "${LAB_WG:-go}" = kernel ]; then ip -n "$LAB-$1" link del "$(_wg_name "$1")"; else _kill "wg-$1"; fi
}

# lab_mesh KEEPALIVE: everyone is everyone's peer, without endpoints; KEEPALIVE may be empty
lab_mesh() {
  local hosts=() f h p jobs=()
  for f in "$S"/keys/*.pub; do
    [ ! -e "$f" ] || hosts+=("$(basename "$f" .pub)")
  done
  for h in "${hosts[@]}"; do
    for p in "${hosts[@]}"; do
      [ "$p" = "$h" ] || printf '[Peer]\nPublicKey = %s\nAllowedIPs = %s/32, %s/128\n%s\n' "$(cat "$S/keys/$p.pub")" \
        "$(_tun4 "${p#h}")" "$(_tun6 "${p#h}")" "${1:+PersistentKeepalive = $1}"
    done >"$S/keys/$h.peers"
    _ns "$h" wg addconf "$(_wg_name "$h")" "$S/keys/$h.peers" & jobs+=($!)
  done
  _wait_all "${jobs[@]}"
}
