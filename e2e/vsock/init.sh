#!/bin/sh
# The first process of both kinds of machine of the lab: the node (L1) and its guests (L2). lab.sh says what it is given and what its verdicts mean.
# Disks: vda this system, vdb the settings and commands, vdc this machine's payload; on the node vdd is the guests' payload.
export PATH=/bin:/sbin:/usr/bin HOME=/root TERM=dumb
mount -t tmpfs -o mode=1777 tmpfs /tmp
for folder in run state var; do mount -t tmpfs $folder /$folder; done
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ip link set lo up
mkdir -p /run/conf
tar xf /dev/vdb -C /run/conf
mount -t ext4 -o ro /dev/vdc /payload
. /run/conf/env
setting() { sed -n "s/.*lab\.$1=\([a-z0-9]*\).*/\1/p" /proc/cmdline; }
port() { for p in /sys/class/virtio-ports/*; do [ "$(cat $p/name)" = "$1" ] && echo /dev/${p##*/} && return; done; }
uptime() { cut -d' ' -f1 /proc/uptime; }
note() { echo "T $(uptime) $*" >&3; }
export LAB_ROLE=$(setting role)
for module in vsock vmw_vsock_virtio_transport_common; do insmod /modules/$module.ko; done
cd /payload

if [ $LAB_ROLE = guest ]; then
  insmod /modules/vmw_vsock_virtio_transport.ko
  export LAB_INDEX=$(setting index) LAB_CID=$(setting cid)
  exec 3>$(port res)
  timeout -s KILL $LAB_COMMAND_TIMEOUT sh /run/conf/guest.cmd >$(port log) 2>&1 </dev/null 3>&-
  echo "RC $?" >&3
  sync
  sleep 0.1
  poweroff -f
fi

for module in vhost_iotlb vhost vhost_vsock irqbypass kvm kvm-amd failover net_failover virtio_net; do insmod /modules/$module.ko; done
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
exec 3>$(port result)
note node-command
(timeout $LAB_COMMAND_TIMEOUT sh /run/conf/node.cmd >$(port node) 2>&1 </dev/null 3>&-; echo $? >/run/node.rc.new; mv /run/node.rc.new /run/node.rc) &
while [ ! -e /run/ready ] && [ ! -e /run/node.rc ]; do sleep 0.1; done
note node-ready
k=0
while [ $k -lt $LAB_GUESTS ]; do
  : >/run/guest$k.res
  qemu-system-x86_64 -L /usr/share/qemu -M q35 -accel kvm -cpu max -m $LAB_GUEST_MEM -smp 1 \
    -nodefaults -no-user-config -display none -no-reboot -kernel /l2/vmlinuz -initrd /l2/initrd.img \
    -append "console=ttyS0 quiet loglevel=4 panic=-1 lab.role=guest lab.index=$k lab.cid=$((LAB_CID_BASE + k))" \
    -drive if=none,id=d0,file=/dev/vda,format=raw,readonly=on -device virtio-blk-pci,drive=d0 \
    -drive if=none,id=d1,file=/dev/vdb,format=raw,readonly=on -device virtio-blk-pci,drive=d1 \
    -drive if=none,id=d2,file=/dev/vdd,format=raw,readonly=on -device virtio-blk-pci,drive=d2 \
    -device virtio-serial-pci \
    -chardev file,id=log,path=$(port guest$k) -device virtserialport,chardev=log,name=log \
    -chardev file,id=res,path=/run/guest$k.res -device virtserialport,chardev=res,name=res \
    -device vhost-vsock-pci,guest-cid=$((LAB_CID_BASE + k)) \
    -serial file:$(port console$k) >/run/qemu$k.log 2>&1 </dev/null &
  echo $! >/run/qemu$k.pid
  note guest$k-started
  k=$((k + 1))
done

guests_running() {
  k=0
  while [ $k -lt $LAB_GUESTS ]; do [ -d /proc/$(cat /run/qemu$k.pid) ] && return 0; k=$((k + 1)); done
  return 1
}
# When either side is done, the other has ten seconds more. Looking takes time from the guests: not too often.
left=20
while [ $left -gt 0 ] && { guests_running || [ ! -e /run/node.rc ]; }; do
  { guests_running && [ ! -e /run/node.rc ]; } || left=$((left - 1))
  sleep 0.5
done
note verdict
verdict=0
[ -e /run/node.rc ] && verdict=$(cat /run/node.rc) || verdict=98
echo "node=$verdict" >&3
k=0
while [ $k -lt $LAB_GUESTS ]; do
  result=$(sed -n 's/^RC //p' /run/guest$k.res)
  echo "guest$k=${result:-none}" >&3
  [ -s /run/qemu$k.log ] && sed "s/^/Q guest$k /" /run/qemu$k.log >&3
  [ $verdict != 0 ] || verdict=${result:-99}
  k=$((k + 1))
done
echo "EXIT $verdict" >&3
sync
sleep 0.2
poweroff -f
