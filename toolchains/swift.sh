#!/usr/bin/env bash
# Run a command of the Swift toolchain, e.g. `toolchains/swift.sh swiftc -version`.
#
# Takes the machine's own Swift 6 where there is one. Else, on a Debian or Ubuntu machine, Debian 13's Swift is
# unpacked into a cache folder (3 GB, some minutes, once; MLC_TOOLCHAINS moves it) and run in namespaces of its
# own: nothing is installed, nothing stays mounted. The current folder and /tmp are the same inside and outside.
# Exit code 77 where Swift cannot be had, with the reason on stderr; else that of the command.
set -euo pipefail

cache="${MLC_TOOLCHAINS:-${XDG_CACHE_HOME:-$HOME/.cache}/mlc/toolchains}"
root="$cache/swift-trixie"

unavailable() {
  echo "Swift is not available: $1" >&2
  exit 77
}

# The mirror that this machine's own apt uses, so that proxies and private mirrors keep working.
debian_mirror() {
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Identifier: Packages' |
    awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}

install() {
  command -v apt-get >/dev/null || unavailable "there is neither swift 6 nor apt-get."
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  [ -f "$keys" ] || unavailable "$keys is missing (package debian-archive-keyring)."
  mirror="$(debian_mirror)"
  [ -n "$mirror" ] || unavailable "apt knows no Debian mirror."
  mkdir -p "$cache"
  exec 9>"$cache/swift.lock"
  flock 9 # another process may be at it
  [ -d "$root" ] && return
  echo "Setting up Swift in $root: about 3 GB, once." >&2
  aside="$(mktemp -d "$cache/swift-installing-XXXX")"
  trap 'rm -rf "$aside"' EXIT
  mkdir -p "$aside"/apt/{etc,state/lists/partial,cache/archives/partial} "$aside/tree"
  touch "$aside/apt/state/status"
  echo "deb [signed-by=$keys] $mirror trixie main" >"$aside/apt/etc/sources.list"
  local apt=(
    apt-get -qq
    -o Dir::Etc::sourcelist="$aside/apt/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State="$aside/apt/state" -o Dir::State::status="$aside/apt/state/status"
    -o Dir::Cache="$aside/apt/cache" -o APT::Sandbox::User=
    -o Debug::NoLocking=true
  )
  "${apt[@]}" update >&2 || unavailable "the package lists of Debian 13 cannot be fetched."
  # base-files first: it makes /bin and /lib the links that all others write through.
  local packages=(base-files swiftlang swiftlang-dev g++ libc6-dev coreutils dash git findutils grep sed)
  "${apt[@]}" install --yes --download-only --no-install-recommends "${packages[@]}" >&2 ||
    unavailable "its packages cannot be fetched."
  local archives=("$aside"/apt/cache/archives/base-files_*.deb "$aside"/apt/cache/archives/*.deb) archive
  for archive in "${archives[@]}"; do
    dpkg-deb --extract "$archive" "$aside/tree"
  done
  ln -sf dash "$aside/tree/usr/bin/sh"
  ln -sf /usr/libexec/swift/bin/* "$aside/tree/usr/local/bin/" 2>/dev/null || true
  mv "$aside/tree" "$root"
  rm -rf "$aside"
  trap - EXIT
}

[ $# -gt 0 ] || { echo "Usage: toolchains/swift.sh COMMAND [ARGUMENT...]" >&2; exit 2; }
if command -v swiftc >/dev/null && swiftc --version 2>&1 | grep -Eq 'Swift version ([6-9]|[1-9][0-9])'; then
  exec "$@"
fi
[ -d "$root" ] || install

# As root a mount namespace is enough; everybody else becomes root of a user namespace.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(--map-root-user)
exec unshare "${as_root[@]}" --mount --pid --fork --kill-child bash -euc '
  root="$1" here="$2"
  shift 2
  mkdir -p "$root/proc" "$root/dev" "$root/tmp" "$root$here"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --rbind /tmp "$root/tmp"
  case "$here" in /tmp/*) ;; *) mount --bind "$here" "$root$here" ;; esac
  exec chroot "$root" /usr/bin/env -i HOME=/tmp PATH=/usr/libexec/swift/bin:/usr/bin:/bin LANG=C.UTF-8 \
    sh -c "cd \"\$0\" && exec \"\$@\"" "$here" "$@"
' swift "$root" "$PWD" "$@"
