#!/bin/sh
# build.sh [ARCHITECTURE]: makes dist/stunmesh-ts_VERSION_ARCHITECTURE.deb (or in the folder OUT), after `npm run build`.
#
# Needs dpkg-deb, and node_modules; for an architecture that is not this machine's also npm and its registry. The same
# sources give the same bytes: times are those of the last commit, or SOURCE_DATE_EPOCH.
# Spec: deb-control(5), deb-triggers(5), Debian Policy 4 (files), 6 (maintainer scripts).
set -eu
cd "$(dirname "$0")/../.."
umask 022

arch=${1:-$(dpkg --print-architecture)}
case $arch in
amd64) koffi=linux-x64 binary=linux_x64 ;;
arm64) koffi=linux-arm64 binary=linux_arm64 ;;
armhf) koffi=linux-arm binary=linux_armhf ;;
riscv64) koffi=linux-riscv64 binary=linux_riscv64d ;;
*)
  echo "Cannot make a package for \"$arch\": koffi is known here for amd64, arm64, armhf and riscv64" >&2
  exit 64
  ;;
esac
field() { node -p "require('./$1').$2"; }
# Debian sorts 1.0.0~rc.1 before 1.0.0, and would sort 1.0.0-rc.1 after it.
version=$(field package.json version | sed 's/-/~/')-1
maintainer=${MAINTAINER:-The stunmesh-ts authors <stunmesh-ts@localhost>}
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y package.json)}"
export SOURCE_DATE_EPOCH
node packaging/licenses.mjs

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# --- the program, and of koffi what is loaded: its code and the one binary
lib=$root/usr/lib/stunmesh-ts
install -d "$lib/node_modules/koffi/src/koffi/src"
install -m 755 dist/stunmesh-ts.js "$lib/"
install -m 644 dist/program.cjs "$lib/"
echo '{ "type": "module" }' >"$lib/package.json"
for file in package.json index.cjs src/koffi/index.cjs src/koffi/src/static.cjs; do
  install -m 644 "node_modules/koffi/$file" "$lib/node_modules/koffi/$file"
done
native=node_modules/@koromix/koffi-$koffi
if [ ! -d "$native" ]; then
  wanted=$(field node_modules/koffi/package.json "optionalDependencies['@koromix/koffi-$koffi']")
  (cd "$work" && npm pack --silent "@koromix/koffi-$koffi@$wanted" && tar xzf ./*.tgz) >/dev/null
  native=$work/package
fi
install -d "$lib/node_modules/@koromix/koffi-$koffi/$binary"
install -m 644 "$native/package.json" "$native/index.js" "$lib/node_modules/@koromix/koffi-$koffi/"
install -m 644 "$native/$binary/koffi.node" "$lib/node_modules/@koromix/koffi-$koffi/$binary/"

install -d "$root/usr/bin"
printf '#!/bin/sh\nexec /usr/bin/node /usr/lib/stunmesh-ts/stunmesh-ts.js "$@"\n' >"$root/usr/bin/stunmesh-ts"
chmod 755 "$root/usr/bin/stunmesh-ts"

# --- the service. Nothing is enabled: there is no configuration yet.
install -d "$root/usr/lib/systemd/system" "$root/etc/stunmesh"
install -m 644 packaging/systemd/*.service packaging/systemd/*.timer "$root/usr/lib/systemd/system/"

# --- what is to be read
doc=$root/usr/share/doc/stunmesh-ts
install -d "$doc/examples/systemd"
install -m 644 config.example.yaml "$doc/examples/"
install -m 644 packaging/systemd/*.conf "$doc/examples/systemd/"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
gzip -9nc >"$doc/changelog.Debian.gz" <<CHANGES
stunmesh-ts ($version) unstable; urgency=medium

  * See changelog.gz.

 -- $maintainer  $(LC_ALL=C date -Ru "--date=@$SOURCE_DATE_EPOCH")
CHANGES
{
  echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
  echo 'Upstream-Name: stunmesh-ts'
  echo
  echo 'Files: *'
  sed -n 's/^Copyright (c) /Copyright: /p' LICENSE
  echo 'License: MIT'
  sed 's/^$/./; s/^/ /' LICENSE
  echo 'Comment: The licences of what else is in /usr/lib/stunmesh-ts are in licenses.txt.gz.'
} >"$doc/copyright"
{
  cat dist/licenses.txt
  printf '%s\n\nkoffi %s\n\n' "$(printf '%080d' 0 | tr 0 -)" "$(field node_modules/koffi/package.json version)"
  cat node_modules/koffi/LICENSE.txt
} | gzip -9nc >"$doc/licenses.txt.gz"
if [ -f packaging/man/stunmesh-ts.8 ]; then
  install -d "$root/usr/share/man/man8"
  gzip -9nc packaging/man/stunmesh-ts.8 >"$root/usr/share/man/man8/stunmesh-ts.8.gz"
fi
install -d "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions"
node dist/stunmesh-ts.js completion bash >"$root/usr/share/bash-completion/completions/stunmesh-ts"
node dist/stunmesh-ts.js completion zsh >"$root/usr/share/zsh/vendor-completions/_stunmesh-ts"

# What is missing of koffi would be missed on the first STUN request only.
if [ "$arch" = "$(dpkg --print-architecture)" ]; then
  (cd "$lib" && node --input-type=commonjs --eval 'require("koffi")')
fi

# --- control
install -d "$root/DEBIAN"
for script in postinst prerm postrm; do
  install -m 755 "packaging/debian/$script" "$root/DEBIAN/"
done
# Another Node.js is another compiler: postinst is run again.
echo 'interest-noawait /usr/bin/node' >"$root/DEBIAN/triggers"
size=$(find "$root" -path "$root/DEBIAN" -prune -o -type f -printf '%s\n' |
  awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
cat >"$root/DEBIAN/control" <<CONTROL
Package: stunmesh-ts
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $size
Depends: nodejs (>= 20.19), libc6
Recommends: wireguard-tools
Section: net
Priority: optional
Description: lets WireGuard peers behind NAT find each other
 stunmesh-ts runs beside WireGuard on two hosts that are both behind NAT. It
 learns from a STUN server, out of WireGuard's own port, which public address
 the NAT gave that port, leaves it sealed in a store that both hosts reach, and
 tells WireGuard where each peer is. Packets never pass through it.
CONTROL
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs md5sum) >"$work/md5sums"
install -m 644 "$work/md5sums" "$root/DEBIAN/md5sums"

find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
package=${OUT:-dist}/stunmesh-ts_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "$package"
