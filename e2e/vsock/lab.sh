#!/usr/bin/env bash
# A hypervisor node with real guests on one machine without KVM: this machine -> L1, the "node" (QEMU's emulation) -> N guests (L2; KVM and vhost-vsock, emulated too).
# AF_VSOCK is used inside these machines only: nothing here opens it on the machine itself, where its other end would be a stranger's hypervisor.
#
#  lab.sh missing                    what has to be installed, as names of Debian packages; nothing when all is there
#  lab.sh build                      makes the base image below $LAB_CACHE, or finds it there
#  lab.sh run [options]              boots the lab and ends with its verdict
#    --node DIR --node-cmd CMD       what L1 has at /payload (read-only), and what it runs there
#    --guest DIR --guest-cmd CMD     the same of every guest
#    --guests N (1) --cid-base C (42)   guests get CID C to C+N-1
#    --guest-mem MB (512) --node-mem MB (2048)
#    --timeout S (180)               of the whole lab; exit status 124
#    --command-timeout S (150)       of one machine's command
#    --out DIR                       node.log guestN.log guestN.console l1.console result.txt timeline.txt
# Exit status: of the first command that failed; 97 no verdict, 98 the node's command did not end, 99 a guest did not end. These and 124 may pass on a second try.
# The node reaches servers of this machine's 127.0.0.1 as 10.0.2.2; guests have no network.
# In every machine: LAB_ROLE=node|guest, LAB_GUESTS, LAB_CID_BASE; in guests LAB_INDEX, LAB_CID. /tmp, /run, /var and /state are in memory.
# Guests start when the node's command has made /run/ready.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${LAB_CACHE:-$here/../../.cache/lab}
node=${LAB_NODE:-$(command -v node || true)}
firmware="bios-256k.bin kvmvapic.bin linuxboot_dma.bin linuxboot.bin pvh.bin bios-microvm.bin"
modules="virtio_mmio virtio_blk vsock vmw_vsock_virtio_transport_common vmw_vsock_virtio_transport vhost_iotlb vhost vhost_vsock irqbypass kvm kvm-amd failover net_failover virtio_net"

die() { echo "lab: $*" >&2; exit 2; }
say() { echo "lab: $*" >&2; }

missing() {
  command -v qemu-system-x86_64 >/dev/null || echo qemu-system-x86
  [ -x /bin/busybox ] && /bin/busybox --list | grep -qx switch_root || echo busybox-static
  command -v cpio >/dev/null || echo cpio
  command -v xz >/dev/null || echo xz-utils
  command -v strip >/dev/null || echo binutils
  [ -x "$(mke2fs_path)" ] || echo e2fsprogs
}

mke2fs_path() { command -v mke2fs || echo /sbin/mke2fs; }

newest_kernel_package() { # the cloud kernel of the running Debian; no meta package, no -dbg, no -unsigned
  apt-cache search --names-only '^linux-image-[0-9].*-cloud-amd64$' | awk '{print $1}' |
    grep -E '^linux-image-[0-9]+\.[0-9]+\.[0-9]+[^ ]*-cloud-amd64$' | sort -V | tail -1
}

kernel_package() { # the downloaded .deb
  if ! ls "$cache"/linux-image-*.deb >/dev/null 2>&1; then
    local package
    package=$(newest_kernel_package)
    [ -n "$package" ] || die "no cloud kernel among the packages that apt knows: run apt-get update"
    (cd "$cache" && apt-get download -q "$package" >/dev/null 2>&1) || die "cannot download $package"
  fi
  ls "$cache"/linux-image-*.deb | sort -V | tail -1
}

copy_program() { # copy_program BINARY ROOT [PATH]: the program, at PATH, and the shared libraries that it names
  local binary=$1 root=$2 to=${3:-$1} library
  mkdir -p "$root$(dirname "$to")"
  cp -L "$binary" "$root$to"
  for library in $(ldd "$binary" 2>/dev/null | grep -oE '/[^ ]+'); do
    [ -e "$root$library" ] && continue
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
}

make_image() { # make_image DIR FILE: an ext4 image just big enough
  local kb files
  kb=$(du -sk --apparent-size "$1" | cut -f1)
  files=$(find "$1" | wc -l)
  rm -f "$2"
  truncate -s $((kb + kb / 8 + files * 4 + 4096))k "$2"
  "$(mke2fs_path)" -q -F -t ext4 -O ^has_journal,^metadata_csum -m 0 -N $((files + 256)) -E root_owner=0:0 -d "$1" "$2"
}

build() { # sets $base
  local wanted deb key
  wanted=$(missing | tr '\n' ' ')
  [ -z "$wanted" ] || die "missing packages: $wanted"
  [ -x "$node" ] || die "no node on the PATH"
  mkdir -p "$cache"
  deb=$(kernel_package)
  key=$({ basename "$deb"; "$node" --version; qemu-system-x86_64 --version | head -1; cat "$here"/lab.sh "$here"/init.sh "$here"/initrd-init.sh; } | sha256sum | cut -c1-16)
  base="$cache/base-$key"
  [ -e "$base/done" ] && return
  say "making the base image of $(basename "$deb")"
  rm -rf "$cache"/base-*
  local work="$base.unfinished" name file
  mkdir -p "$work/kernel"
  dpkg-deb -x "$deb" "$work/kernel"
  cp "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"
  local root="$work/root"
  mkdir -p "$root"/{bin,sbin,proc,sys,dev,run,tmp,etc,payload,state,root,var,modules,lib64,usr/bin,usr/share/qemu,l2}
  cp -L /bin/busybox "$root/bin/busybox"
  for name in $("$root/bin/busybox" --list); do [ -e "$root/bin/$name" ] || ln -s busybox "$root/bin/$name"; done
  for name in $modules; do
    file=$(find "$work/kernel" -name "$name.ko*" | head -1)
    case $file in
      "") die "$(basename "$deb") has no module $name" ;;
      *.xz) xz -dc "$file" >"$root/modules/$name.ko" ;;
      *) cp "$file" "$root/modules/$name.ko" ;;
    esac
  done
  copy_program "$node" "$root" /usr/bin/node
  strip --strip-debug "$root/usr/bin/node"
  copy_program "$(command -v qemu-system-x86_64)" "$root"
  for name in $firmware; do
    for file in /usr/share/qemu /usr/share/seabios; do [ -e "$file/$name" ] && cp -L "$file/$name" "$root/usr/share/qemu/$name"; done
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  echo '127.0.0.1 localhost' >"$root/etc/hosts"
  install -m 755 "$here/init.sh" "$root/sbin/init"
  local initrd="$work/initrd"
  mkdir -p "$initrd"/{bin,proc,sys,dev,root,modules}
  cp "$root/bin/busybox" "$initrd/bin/busybox"
  ln -s busybox "$initrd/bin/sh"
  cp "$root"/modules/virtio_{blk,mmio}.ko "$initrd/modules/"
  install -m 755 "$here/initrd-init.sh" "$initrd/init"
  (cd "$initrd" && find . | cpio -o -H newc --quiet) >"$work/initrd.img"
  cp "$work/vmlinuz" "$work/initrd.img" "$root/l2/"
  make_image "$root" "$work/base.img"
  rm -rf "$work/kernel" "$initrd" "$root"
  touch "$work/done"
  mv "$work" "$base"
}

run() {
  local node_dir="" node_cmd="exit 0" guest_dir="" guest_cmd="exit 0" guests=1 cid=42 guest_mem=512 node_mem=2048 timeout=180 command_timeout=150 out=""
  while [ $# -gt 1 ]; do
    case $1 in
      --node) node_dir=$2 ;; --node-cmd) node_cmd=$2 ;; --guest) guest_dir=$2 ;; --guest-cmd) guest_cmd=$2 ;;
      --guests) guests=$2 ;; --cid-base) cid=$2 ;; --guest-mem) guest_mem=$2 ;; --node-mem) node_mem=$2 ;;
      --timeout) timeout=$2 ;; --command-timeout) command_timeout=$2 ;; --out) out=$2 ;;
      *) die "unknown option $1" ;;
    esac
    shift 2
  done
  [ "$cid" -ge 3 ] || die "--cid-base must be 3 or more"
  [ -n "$out" ] || die "--out is missing"
  build
  mkdir -p "$out"
  work=$(mktemp -d "${TMPDIR:-/tmp}/lab.XXXXXX")
  trap 'rm -rf "${work:?}"' EXIT
  mkdir -p "$work/conf" "$work/empty"
  echo "$node_cmd" >"$work/conf/node.cmd"
  echo "$guest_cmd" >"$work/conf/guest.cmd"
  printf 'export %s\n' LAB_GUESTS="$guests" LAB_CID_BASE="$cid" LAB_GUEST_MEM="$guest_mem" LAB_COMMAND_TIMEOUT="$command_timeout" >"$work/conf/env"
  tar cf "$work/conf.img" -C "$work/conf" .
  make_image "${node_dir:-$work/empty}" "$work/node.img"
  make_image "${guest_dir:-$work/empty}" "$work/guest.img"
  # One CPU: with two, guests of an emulated node fail now and then.
  local qemu=(-M q35 -accel "tcg,thread=multi" -cpu max -m "$node_mem" -smp 1 -nodefaults -no-user-config -display none -no-reboot
    -kernel "$base/vmlinuz" -initrd "$base/initrd.img" -append "console=ttyS0 quiet loglevel=4 panic=-1 lab.role=node"
    -netdev user,id=net -device virtio-net-pci,netdev=net,romfile=
    -serial "file:$out/l1.console" -device virtio-serial-pci,max_ports=31
    -chardev "file,id=res,path=$out/result.txt" -device virtserialport,chardev=res,name=result
    -chardev "file,id=node,path=$out/node.log" -device virtserialport,chardev=node,name=node)
  local k image=0 file
  for file in "$base/base.img" "$work/conf.img" "$work/node.img" "$work/guest.img"; do
    qemu+=(-drive "if=none,id=d$image,file=$file,format=raw,readonly=on" -device "virtio-blk-pci,drive=d$image")
    image=$((image + 1))
  done
  for ((k = 0; k < guests; k++)); do
    qemu+=(-chardev "file,id=g$k,path=$out/guest$k.log" -device "virtserialport,chardev=g$k,name=guest$k"
      -chardev "file,id=c$k,path=$out/guest$k.console" -device "virtserialport,chardev=c$k,name=console$k")
  done
  say "starting the node with $guests guests"
  local status=0 started ended verdict
  started=$(date +%s.%N)
  timeout -k 5 "$timeout" qemu-system-x86_64 "${qemu[@]}" </dev/null >"$out/qemu.log" 2>&1 || status=$?
  ended=$(date +%s.%N)
  # Seconds since the start of the node's kernel; the last line is this machine's clock.
  { awk '$1=="T"{printf "%7.2f  %s %s\n", $2, $3, substr($0, index($0,$3)+length($3)+1)}' "$out/result.txt"
    awk -v a="$started" -v b="$ended" 'BEGIN{printf "%7.2f  the whole run\n", b-a}'; } >"$out/timeline.txt"
  if [ $status = 124 ] || [ $status = 137 ]; then say "not done after $timeout s"; return 124; fi
  verdict=$(sed -n 's/^EXIT //p' "$out/result.txt" | tail -1)
  [ -n "$verdict" ] || { say "the node ended without a verdict (qemu's exit status: $status)"; return 97; }
  say "$(grep -E '^(guest[0-9]+|node)=' "$out/result.txt" | tr '\n' ' ')after $(awk 'END{print $1}' "$out/timeline.txt") s"
  return "$verdict"
}

case ${1:-} in
  missing) missing ;;
  build) build && echo "$base" ;;
  run) shift; run "$@" ;;
  *) sed -n '2,19p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
