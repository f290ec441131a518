# Servers in the namespace srv.
#
#   stun1   coturn with RFC 5780: 198.51.100.10 and .11, ports 3478 and 3479, the same on 2001:db8:5::10 and ::11
#   stun2   a second coturn without RFC 5780: .20:3478 and ::20
#   stund   a STUN server that misbehaves on command: .30:3478 and ::30 (tools/stund.mjs)
#   probe   tells UDP senders how they are seen: .40 and .41, ports 7001 and 7002 (tools/udpprobe.mjs)

lab_services() {
  local service
  for service in "$@"; do _service_start "$service" || return; done
  for service in "$@"; do
    _wait_for 60 _service_settled "$service" && _running "$service" ||
      _die "service \"$service\" did not start: $(tail -n 8 "$S/log/$service.log")" || return
  done
}
_service_start() {
  # -n: otherwise coturn reads /etc/turnserver.conf, and Debian's says no-rfc5780.
  local coturn=(turnserver -n -S --no-cli --no-tls --no-dtls --simple-log --log-file stdout -m 1 -p 3478
    --userdb "$S/$1.db" --pidfile "$S/$1.pid")
  case $1 in
    stun1) _spawn stun1 srv "${coturn[@]}" --alt-listening-port 3479 \
      -L 198.51.100.10 -L 198.51.100.11 -L 2001:db8:5::10 -L 2001:db8:5::11 ;;
    stun2) _spawn stun2 srv "${coturn[@]}" --no-rfc5780 -L 198.51.100.20 -L 2001:db8:5::20 ;;
    stund) _spawn stund srv node "$LAB_DIR/tools/stund.mjs" 198.51.100.30 2001:db8:5::30 ;;
    probe) _spawn probe srv node "$LAB_DIR/tools/udpprobe.mjs" server ;;
    *) _die "unknown service \"$1\"" ;;
  esac
}
_service_settled() { _service_ready "$1" || ! _running "$1"; }
# The last sockets each server opens.
_service_ready() {
  case $1 in
    stun1) _listens 198.51.100.10:3478 && _listens 198.51.100.11:3479 &&
      _listens '[2001:db8:5::10]:3478' && _listens '[2001:db8:5::11]:3479' ;;
    stun2) _listens 198.51.100.20:3478 && _listens '[2001:db8:5::20]:3478' ;;
    *) grep -qx ready "$S/log/$1.log" ;;
  esac
}
_listens() { [ -n "$(_ns srv ss -Hunl "src $1")" ]; }

# stun_stop SERVICE: the server ends; a client's datagram is answered with ICMP port unreachable
lab_stun_stop() { _kill "$1" KILL; }
# stun_start SERVICE: starts it again
lab_stun_start() { lab_services "$1"; }
# stund_mode MODE: how the misbehaving server behaves from now on (see tools/stund.mjs)
lab_stund_mode() {
  _ns srv bash -c 'exec 3<>/dev/udp/198.51.100.30/3479 && printf "MODE %s" "$1" >&3 &&
    read -r -t 60 -N 2 -u 3 answer && [ "$answer" = OK ]' _ "$1" || _die "stund refuses the mode \"$1\" or does not run"
}
