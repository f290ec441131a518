# shellcheck shell=bash
# What the scripts that run in the systemd of boot.sh share. They say what they saw as `key=value`, one a line; the test
# judges. Everything that is waited for is waited for by its condition.
unit=stunmesh-ts.service

say() { printf '%s=%s\n' "$1" "${2//$'\n'/ }"; }
show() { systemctl show -P "$1" "${2:-$unit}"; }
logged() { journalctl -o cat --no-pager -u "${2:-$unit}" | grep -c -- "$1"; }

# until_true COMMAND...: waits until it succeeds, so long that only what never comes is given up
until_true() {
  local end=$((SECONDS + 60))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.05
  done
}
has_logged() { [ "$(logged "$@")" -gt 0 ]; }
is() { [ "$(show "$1")" = "$2" ]; }

drop_in() { # drop_in UNIT NAME <text
  mkdir -p "/etc/systemd/system/$1.d"
  cat >"/etc/systemd/system/$1.d/$2.conf"
  systemctl daemon-reload
}

# WireGuard in user space, whose socket belongs to root, on a network of one host that is its own STUN server.
make_network() {
  ip link add lan type veth peer name far
  ip address add 192.0.2.1/24 dev lan
  ip link set lan up
  ip link set far up
  turnserver -n -S -L 192.0.2.1 -p 3478 --no-cli --no-tls --no-dtls --log-file /dev/null \
    --pidfile /run/turn.pid >/dev/null 2>&1 &
  wireguard-go wg0 2>/dev/null
  wg set wg0 private-key <(wg genkey) listen-port 51820
  wg set wg0 peer "$(wg genkey | wg pubkey)"
  ip link set wg0 up
  peer=$(wg show wg0 peers)
}

configure() { # configure FILE INTERFACE PLUGIN
  mkdir -p "$(dirname "$1")"
  cat >"$1" <<YAML
stun: { addresses: ["192.0.2.1:3478"] }
interfaces:
  $2:
    peers:
      office: { public_key: "$peer" }
plugins:
  store: $3
YAML
  chmod 600 "$1"
}
