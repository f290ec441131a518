#!/bin/bash
# shellcheck disable=SC1091,SC2154,SC2086 # library.sh is there inside, and says which unit
# The Debian package /srv/package.deb, in the systemd that boot.sh boots; package.test.ts judges what it says.
set -u
. /srv/library.sh
make_network
mkdir -p /srv/store

install() { dpkg --force-depends --install /srv/package.deb; }

install
say install.status $?
say install.version "$(/usr/bin/stunmesh-ts --version)"
say install.enabled "$(systemctl is-enabled $unit)"
say install.active "$(systemctl is-active $unit)"
say install.modes "$(stat -c '%U %a' /usr/bin/stunmesh-ts /usr/lib/stunmesh-ts/stunmesh-ts.js /etc/stunmesh)"

cache=/usr/lib/stunmesh-ts/program.cache
say install.cache "$(stat -c '%U %a' $cache)"
rm $cache
dpkg-trigger --no-await /usr/bin/node && dpkg --triggers-only stunmesh-ts
say trigger.cache "$(stat -c '%U %a' $cache)"

configure /etc/stunmesh/config.yaml wg0 '{ type: file, path: /srv/store }'
say check.said "$(stunmesh-ts check)"
drop_in $unit store <<<$'[Service]\nReadWritePaths=/srv/store'
systemctl enable --now $unit
say start.status $?
pid=$(show MainPID)
say start.program "$(tr '\0' ' ' <"/proc/$pid/cmdline")"
until_true has_logged '"endpoint published"'
say start.stored "$(find /srv/store -type f | wc -l)"

install
say upgrade.status $?
until_true is ActiveState active
say upgrade.restarted "$([ "$(show MainPID)" != "$pid" ] && echo yes)"

dpkg --remove stunmesh-ts
say remove.status $?
say remove.active "$(systemctl is-active $unit)"
say remove.left "$(find /usr/lib/stunmesh-ts /usr/bin/stunmesh-ts /usr/lib/systemd/system -name 'stunmesh*')"
say remove.memory "$(ls /var/lib/stunmesh-ts)"
dpkg --purge stunmesh-ts
say purge.status $?
say purge.memory "$(ls /var/lib/stunmesh-ts)"
say purge.config "$(ls /etc/stunmesh)"
say end reached
journalctl --no-pager -u 'stunmesh-ts*'
