#!/bin/sh
# Installs, upgrades and uninstalls roxagent in a guest: here, below a root directory, over ssh or through virtctl. See usage below.
# What it places is listed in a manifest, by which an upgrade removes what is no longer wanted and an uninstall leaves nothing.
set -eu

usage() {
  cat <<'USAGE'
Usage: install.sh install   [--binary FILE] [--sha256 HEX] [--timer] [--no-network] [--no-start] [WHERE]
       install.sh install   --url URL --sha256 HEX [--timer] [--no-network] [--no-start] [WHERE]
       install.sh uninstall [--keep-settings] [WHERE]
Installing again upgrades, and changes nothing where nothing differs.

  --binary FILE      the executable (default: roxagent beside this script, or dist/bin/roxagent of a checkout)
  --url URL          where to download it, by curl or wget
  --sha256 HEX       what it must be; with --url it has to be given
  --timer            a scan every four hours instead of the daemon
  --no-network       no repository map: the service may use vsock only
  --no-start         enable, but do not start
  --keep-settings    leave /etc/sysconfig/roxagent
WHERE, one of:
  --root DIR         below a root directory, such as a mounted disk: nothing is started
  --ssh HOST         on a host that ssh reaches; with sudo, where the user is not root
  --virtctl VM       in a virtual machine of the cluster, by virtctl scp and ssh; with --namespace NS, --user USER (default root)
  --print            only print the commands

Exit status: 0 done, 1 failed, 2 wrong command line.
USAGE
}

wrong() {
  echo "install.sh: $1" >&2
  usage >&2
  exit 2
}

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

here=$(cd -- "$(dirname -- "$0")" && pwd)
work="" pending=""
cleanup() {
  [ -z "$work" ] || rm -rf -- "$work"
  [ -z "$pending" ] || rm -f -- "$pending"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

action=${1-}
case $action in
  install | uninstall) shift ;;
  -h | --help)
    usage
    exit 0
    ;;
  *) wrong "neither install nor uninstall: '$action'" ;;
esac

binary="" url="" sha256="" root="" ssh_host="" vm="" namespace="" user=root mode=daemon network=yes start=yes keep_settings=no print=no
while [ $# -gt 0 ]; do
  case $1 in
    --binary | --url | --sha256 | --root | --ssh | --virtctl | --namespace | --user)
      if [ $# -lt 2 ] || [ -z "$2" ]; then wrong "$1 needs a value"; fi
      case $1 in
        --binary) binary=$2 ;;
        --url) url=$2 ;;
        --sha256) sha256=$2 ;;
        --root) root=$2 ;;
        --ssh) ssh_host=$2 ;;
        --virtctl) vm=$2 ;;
        --namespace) namespace=$2 ;;
        --user) user=$2 ;;
      esac
      shift 2
      ;;
    --timer) mode=timer && shift ;;
    --no-network) network=no && shift ;;
    --no-start) start=no && shift ;;
    --keep-settings) keep_settings=yes && shift ;;
    --print) print=yes && shift ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) wrong "unknown argument '$1'" ;;
  esac
done
places=0
for place in "$root" "$ssh_host" "$vm"; do [ -z "$place" ] || places=$((places + 1)); done
[ $places -le 1 ] || wrong "--root, --ssh and --virtctl exclude each other"
[ -z "$url" ] || [ -z "$binary" ] || wrong "--binary and --url exclude each other"
[ -z "$url" ] || [ -n "$sha256" ] || wrong "--url needs --sha256"
case $ssh_host in -*) wrong "--ssh $ssh_host is no host" ;; esac
case $sha256 in *[!0-9a-fA-F]*) wrong "--sha256 is not hexadecimal" ;; esac
[ -z "$sha256" ] || [ ${#sha256} -eq 64 ] || wrong "--sha256 has ${#sha256} digits, not 64"
sha256=$(printf %s "$sha256" | tr 'A-F' 'a-f')

# --- the executable ---

find_binary() {
  [ -n "$binary" ] || for candidate in "$here/roxagent" "$here/../../dist/bin/roxagent"; do
    if [ -f "$candidate" ]; then
      binary=$candidate
      break
    fi
  done
  [ -n "$binary" ] || wrong "no executable: give --binary or --url"
  [ -f "$binary" ] || fail "there is no file $binary"
}

check_sha256() {
  [ -n "$sha256" ] || return 0
  actual=$(sha256sum <"$1" | cut -d ' ' -f 1)
  [ "$actual" = "$sha256" ] || fail "the executable has SHA-256 $actual, not $sha256: nothing was changed"
}

download() {
  echo "download $url"
  if command -v curl >/dev/null; then
    curl -fsSL --retry 3 -o "$1" -- "$url" || fail "curl could not download $url"
  elif command -v wget >/dev/null; then
    wget -q -O "$1" -- "$url" || fail "wget could not download $url"
  else
    fail "--url needs curl or wget"
  fi
}

# --- here, or below a root directory ---

manifest=/var/lib/roxagent/installed

# Notes what is about to be placed: at once, so that an install which is cut off can be undone.
note() {
  echo "$1" >>"$work/new"
  if [ -f "$root$manifest" ] && grep -qxF -- "$1" "$root$manifest"; then return 0; fi
  [ ! -d "$root${manifest%/*}" ] || echo "$1" >>"$root$manifest"
}

# Whether a folder's real place is below the root directory: the links of a mounted disk may lead anywhere.
is_inside() {
  case "$(cd -- "$root$1" 2>/dev/null && pwd -P)/" in
    "$root"/*) return 0 ;;
    *) return 1 ;;
  esac
}

# Makes the folders of a path one by one, and notes those that were not there.
make_folder() {
  if [ -d "$root$1" ]; then
    is_inside "$1" || fail "$root$1 leads out of $root"
    return 0
  fi
  make_folder "$(dirname -- "$1")"
  note "d $1"
  mkdir -m 0755 -- "$root$1"
}

# place SOURCE TARGET MODE: in one step, and only where it differs.
place() {
  make_folder "$(dirname -- "$2")"
  note "f $2"
  if [ -f "$root$2" ] && cmp -s -- "$1" "$root$2"; then return 0; fi
  echo "place $2"
  pending=$root$2.new
  cp -T -- "$1" "$pending"
  chmod "$3" "$pending"
  mv -fT -- "$pending" "$root$2"
  pending=""
  changed=yes
}

# As systemctl enable does, also where no systemd runs.
enable_unit() {
  make_folder "$(dirname -- "$2")"
  note "f $2"
  [ ! -L "$root$2" ] || return 0
  echo "enable ${1##*/}"
  ln -s "$1" "$root$2"
  changed=yes
}

# Removes a file of the manifest, which on a mounted disk may hold anything.
remove_file() {
  case $1 in */../*) return 0 ;; esac
  is_inside "$(dirname -- "$1")" || return 0
  echo "remove $1"
  rm -f -- "$root$1"
}

is_live() {
  [ -z "$root" ] && [ -d /run/systemd/system ]
}

install_here() {
  work=$(mktemp -d)
  : >"$work/new"
  changed=no
  if [ -n "$url" ]; then
    binary=$work/roxagent
    download "$binary"
  else
    find_binary
  fi
  check_sha256 "$binary"
  if [ -z "$root" ]; then
    cp -- "$binary" "$work/try"
    chmod 0755 "$work/try"
    "$work/try" --version >/dev/null || fail "the executable does not run here: it needs $(uname -m) and glibc 2.28 or later (RHEL 8)"
  fi
  make_folder "${manifest%/*}"
  [ -f "$root$manifest" ] || cp -T -- "$work/new" "$root$manifest"
  units=/etc/systemd/system
  place "$binary" /usr/local/bin/roxagent 0755
  if [ $mode = daemon ]; then
    service=roxagent.service wanted=roxagent.service target=multi-user.target
  else
    service=roxagent-scan.service wanted=roxagent-scan.timer target=timers.target
    place "$here/roxagent-scan.timer" $units/roxagent-scan.timer 0644
  fi
  place "$here/$service" "$units/$service" 0644
  [ $network = yes ] || place "$here/roxagent-no-network.conf" "$units/$service.d/no-network.conf" 0644
  place "$here/roxagent.tmpfiles.conf" /etc/tmpfiles.d/roxagent.conf 0644
  settings=/etc/sysconfig/roxagent
  if was_placed $settings; then
    note "f $settings" # ours, but what is in it is the user's
  elif [ ! -e "$root$settings" ]; then
    place "$here/roxagent.sysconfig" $settings 0600
  fi
  for page in "$here/roxagent.8" "$here/../../docs/roxagent.8"; do
    if [ -f "$page" ]; then
      place "$page" /usr/local/share/man/man8/roxagent.8 0644
      break
    fi
  done
  enable_unit "$units/$wanted" "$units/$target.wants/$wanted"
  remove_stale
  write_manifest
  start_service
  if [ $changed = yes ]; then echo "roxagent is installed"; else echo "roxagent was installed already: nothing changed"; fi
}

was_placed() {
  [ -f "$root$manifest" ] && grep -qxF "f $1" "$root$manifest" && [ -e "$root$1" ]
}

# What an earlier version or mode placed, and this one does not.
remove_stale() {
  [ -f "$root$manifest" ] || return 0
  grep '^f ' "$root$manifest" | while read -r _ path; do
    if grep -qxF "f $path" "$work/new"; then continue; fi
    stop_unit "$path"
    remove_file "$path"
  done
}

stop_unit() {
  case $1 in
    /etc/systemd/system/*.wants/*) ;;
    /etc/systemd/system/*.service | /etc/systemd/system/*.timer)
      if is_live; then systemctl stop "${1##*/}" || true; fi
      ;;
  esac
}

# Folders of earlier versions stay listed: they are removed with the last one.
write_manifest() {
  if [ -f "$root$manifest" ]; then grep '^d ' "$root$manifest" >>"$work/new" || true; fi
  sort -u "$work/new" >"$work/manifest"
  if [ -f "$root$manifest" ] && cmp -s -- "$work/manifest" "$root$manifest"; then return 0; fi
  pending=$root$manifest.new
  cp -T -- "$work/manifest" "$pending"
  mv -fT -- "$pending" "$root$manifest"
  pending=""
}

start_service() {
  if [ -n "$root" ]; then return 0; fi
  if command -v restorecon >/dev/null; then restorecon -F /usr/local/bin/roxagent /etc/sysconfig/roxagent || true; fi
  if ! is_live; then return 0; fi
  systemd-tmpfiles --create /etc/tmpfiles.d/roxagent.conf
  systemctl daemon-reload
  [ $start = yes ] || return 0
  if [ $changed = yes ]; then systemctl restart "$wanted"; else systemctl start "$wanted"; fi
}

uninstall_here() {
  [ -f "$root$manifest" ] || {
    echo "roxagent is not installed: $root$manifest is not there"
    return 0
  }
  work=$(mktemp -d)
  cp -- "$root$manifest" "$work/old"
  grep '^f ' "$work/old" | while read -r _ path; do stop_unit "$path"; done
  grep '^f ' "$work/old" | while read -r _ path; do
    if [ $keep_settings = yes ] && [ "$path" = /etc/sysconfig/roxagent ]; then continue; fi
    remove_file "$path"
  done
  for folder in /var/cache /run /run/lock; do
    if is_inside $folder; then rm -rf -- "$root$folder/roxagent"; fi
  done
  rm -f -- "$root$manifest"
  # The deepest first; what holds anything else stays.
  grep '^d ' "$work/old" | sort -r | while read -r _ path; do
    if is_inside "$path"; then rmdir -- "$root$path" 2>/dev/null || true; fi
  done
  if is_live; then
    systemctl daemon-reload
    systemctl reset-failed roxagent.service roxagent-scan.service 2>/dev/null || true
  fi
  echo "roxagent is uninstalled"
}

# --- elsewhere ---

quote() {
  printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"
}

# The arguments that the other side gets, quoted for its shell.
remote_arguments() {
  printf %s "$action"
  if [ "$action" = install ]; then
    if [ -n "$url" ]; then printf ' --url %s' "$(quote "$url")"; fi
    if [ -n "$sha256" ]; then printf ' --sha256 %s' "$sha256"; fi
    if [ $mode = timer ]; then printf ' --timer'; fi
    if [ $network = no ]; then printf ' --no-network'; fi
    if [ $start = no ]; then printf ' --no-start'; fi
  elif [ $keep_settings = yes ]; then
    printf ' --keep-settings'
  fi
}

# This script and all that it places, in one folder.
pack() {
  work=$(mktemp -d)
  mkdir "$work/guest"
  if [ "$action" = install ]; then
    if [ -z "$url" ]; then
      find_binary
      check_sha256 "$binary"
      cp -- "$binary" "$work/guest/roxagent"
      chmod 0755 "$work/guest/roxagent"
    fi
    cp -- "$here"/roxagent*.service "$here/roxagent-scan.timer" "$here"/roxagent*.conf "$here/roxagent.sysconfig" "$work/guest"
    for page in "$here/roxagent.8" "$here/../../docs/roxagent.8"; do [ ! -f "$page" ] || cp -- "$page" "$work/guest"; done
  fi
  cp -- "$here/install.sh" "$work/guest"
  tar -C "$work/guest" -cf "$work/guest.tar" .
}

# What the other side runs; $1 says where it reads the archive.
remote_script() {
  printf %s "set -e; d=\$(mktemp -d); trap 'rm -rf \"\$d\"' EXIT; tar -xf $1 -C \"\$d\"; s=; [ \"\$(id -u)\" = 0 ] || s=sudo; \$s sh \"\$d/install.sh\" $(remote_arguments)"
}

# Prints a command, and runs it.
run() {
  line=
  for word in "$@"; do line="$line $(quote "$word")"; done
  echo "run:$line"
  [ $print = yes ] || "$@"
}

by_ssh() {
  run ssh -- "$ssh_host" "$(remote_script -)" <"$work/guest.tar"
}

by_virtctl() {
  archive=/tmp/roxagent-$$.tar
  set -- ${namespace:+--namespace "$namespace"}
  run virtctl scp "$@" "$work/guest.tar" "$user@vmi/$vm:$archive"
  run virtctl ssh "$@" --command "$(remote_script $archive); rm -f $archive" "$user@vmi/$vm"
}

if [ -n "$ssh_host" ]; then
  pack
  by_ssh
elif [ -n "$vm" ]; then
  pack
  by_virtctl
else
  [ $print = no ] || wrong "--print goes with --ssh and --virtctl"
  if [ -n "$root" ]; then
    [ -d "$root" ] || fail "there is no folder $root"
    root=$(cd -- "$root" && pwd -P)
    [ "$root" != / ] || root=
  fi
  [ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "installing here needs root"
  if [ "$action" = install ]; then install_here; else uninstall_here; fi
fi
