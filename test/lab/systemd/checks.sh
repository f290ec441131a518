#!/bin/bash
# shellcheck disable=SC1091,SC2154,SC2086 # library.sh is there inside, and says which unit
# The units of packaging/systemd, in the systemd that boot.sh boots; systemd.test.ts judges what it says.
set -u
. /srv/library.sh
make_network

# --- a store that is a script, with a credential
mkdir -p /srv/store
script='{ type: shell, command: /usr/local/bin/store-script, args: [{ credential: store-password }] }'
cat >/usr/local/bin/store-script <<'SCRIPT'
#!/bin/sh
. /dev/stdin
[ "$1" = sesame ] || { echo "wrong password" >&2; exit 1; }
case $STUNMESH_ACTION in
get) cat "/srv/store/$STUNMESH_KEY" 2>/dev/null || : ;;
set) echo "$STUNMESH_VALUE" >"/srv/store/$STUNMESH_KEY" ;;
esac
SCRIPT
chmod 755 /usr/local/bin/store-script
configure /etc/stunmesh/config.yaml wg0 "$script"
echo sesame >/root/store-password
chmod 600 /root/store-password
drop_in $unit test <<'CONF'
[Service]
LoadCredential=store-password:/root/store-password
ReadWritePaths=/srv/store
WatchdogSec=10
RestartSec=100ms
CONF

# --- what systemd thinks of the units
cd /etc/systemd/system || exit
say analyze.verify "$(systemd-analyze verify --man=no stunmesh-ts.service stunmesh-ts@home.service \
  stunmesh-ts-oneshot.service stunmesh-ts-oneshot.timer 2>&1 | grep stunmesh)"
for name in stunmesh-ts stunmesh-ts@ stunmesh-ts-oneshot; do
  systemd-analyze security --offline=yes --threshold=25 "$name.service" >/dev/null 2>&1 || echo "$name"
done >/run/exposed
say analyze.exposed "$(cat /run/exposed)"

# --- start
systemctl start $unit
say start.status $?
say start.state "$(show ActiveState)"
pid=$(show MainPID)
if [ "$pid" -le 1 ]; then
  journalctl --no-pager -u $unit
  exit 1
fi
say start.capabilities "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")"
say start.bounding "$(sed -n 's/^CapBnd:\t//p' "/proc/$pid/status")"
say start.nonewprivs "$(sed -n 's/^NoNewPrivs:\t//p' "/proc/$pid/status")"
say start.seccomp "$(sed -n 's/^Seccomp:\t//p' "/proc/$pid/status")"
until_true has_logged '"endpoint published"'
say start.published "$(logged '"interface":"wg0".*"ipv4":"192.0.2.1:51820".*"endpoint published"')"
say start.stored "$(find /srv/store -type f | wc -l)"
say start.warnings "$(journalctl -o cat --no-pager -u $unit | grep '"level":"warn"')"
say start.text "$(show StatusText)"
until_true test -S /run/stunmesh-ts/control.sock
say start.socket "$(stat -c %A /run/stunmesh-ts/control.sock)"
say start.memory "$(cd /var/lib/stunmesh-ts && echo wg0.*)"

# --- reload: another interface; a wrong file changes nothing
sed -i 's/^  wg0:/  wg1:/' /etc/stunmesh/config.yaml
systemctl reload $unit
say reload.status $?
until_true has_logged '"configuration reloaded"'
say reload.done "$(logged '"configuration reloaded"')"
until_true has_logged '"interface":"wg1".*interface is not ready'
say reload.used "$(logged '"interface":"wg1".*interface is not ready')"
echo 'nonsense: 1' >>/etc/stunmesh/config.yaml
systemctl reload $unit
until_true has_logged '"configuration not reloaded"'
say reload.refused "$(logged '"configuration not reloaded"')"
say reload.state "$(show ActiveState)"
say reload.samepid "$([ "$(show MainPID)" = "$pid" ] && echo yes)"
configure /etc/stunmesh/config.yaml wg0 "$script"

# --- watchdog: a process that hangs is replaced
kill -STOP "$pid"
until_true is NRestarts 1
say watchdog.restarts "$(show NRestarts)"
say watchdog.said "$(journalctl -o cat --no-pager -u $unit | grep -c 'Watchdog timeout')"
until_true is ActiveState active
say watchdog.state "$(show ActiveState)"

# --- stop
systemctl stop $unit
say stop.result "$(show Result)"
say stop.said "$(logged '"msg":"stopped"')"
say stop.socket "$(ls -d /run/stunmesh-ts 2>/dev/null)"

# --- a wrong configuration is not tried again and again
echo 'nonsense: 1' >>/etc/stunmesh/config.yaml
systemctl start $unit
say wrong.status $?
until_true is ActiveState failed
say wrong.state "$(show ActiveState)"
say wrong.code "$(show ExecMainStatus)"
systemctl reset-failed $unit
configure /etc/stunmesh/config.yaml wg0 "$script"

# --- a template
configure /etc/stunmesh/home.yaml wg2 "$script"
drop_in stunmesh-ts@.service test <<'CONF'
[Service]
LoadCredential=store-password:/root/store-password
CONF
systemctl start stunmesh-ts@home.service
say template.status $?
until_true test -S /run/stunmesh-ts-home/control.sock
say template.socket "$(ls /run/stunmesh-ts-home/control.sock)"
say template.lock "$(ls /var/lib/stunmesh-ts/wg2.lock)"
systemctl stop stunmesh-ts@home.service

# --- a user of its own: no root, the same two capabilities
cp /srv/shipped/dynamic-user.conf /etc/systemd/system/$unit.d/
systemctl daemon-reload
configure /etc/stunmesh/config.yaml wg9 "$script"
chmod 644 /etc/stunmesh/config.yaml
systemctl start $unit
say user.status $?
pid=$(show MainPID)
say user.uid "$(sed -n 's/^Uid:\t\([0-9]*\).*/\1/p' "/proc/$pid/status")"
say user.capabilities "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")"
until_true has_logged '"interface":"wg9".*WG_DEVICE_NOT_FOUND'
say user.waits "$(logged '"interface":"wg9".*WG_DEVICE_NOT_FOUND')"
say user.unusable "$(logged 'state directory is not usable\|control socket is not open')"
until_true test -S /run/stunmesh-ts/control.sock
say user.socket "$(stat -Lc %u /run/stunmesh-ts/control.sock)"
systemctl stop $unit
configure /etc/stunmesh/config.yaml wg0 "$script"
chmod 644 /etc/stunmesh/config.yaml
systemctl start $unit
until_true is ActiveState failed
say user.userspace "$(show ExecMainStatus)"
rm /etc/systemd/system/$unit.d/dynamic-user.conf
systemctl daemon-reload

# --- once, for hosts without the daemon
drop_in stunmesh-ts-oneshot.service test <<'CONF'
[Service]
LoadCredential=store-password:/root/store-password
ReadWritePaths=/srv/store
CONF
systemctl start --no-block stunmesh-ts-oneshot.service
oneshot_logged() { has_logged "$1" stunmesh-ts-oneshot.service; }
until_true oneshot_logged 'endpoint published'
say oneshot.published "$(logged 'endpoint published' stunmesh-ts-oneshot.service)"
systemctl stop stunmesh-ts-oneshot.service
say oneshot.result "$(show Result stunmesh-ts-oneshot.service)"
systemctl start stunmesh-ts-oneshot.timer
say timer.state "$(show ActiveState stunmesh-ts-oneshot.timer)"
say end reached
journalctl --no-pager -u 'stunmesh-ts*'
