#!/bin/busybox sh
# From the initramfs to the base disk, in both kinds of machine.
B=/bin/busybox
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev 2>/dev/null
case "$($B cat /proc/cmdline)" in *lab.mmio*) $B insmod /modules/virtio_mmio.ko;; esac
$B insmod /modules/virtio_blk.ko
i=0; while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do $B sleep 0.05; i=$((i+1)); done
$B mount -t ext4 -o ro /dev/vda /root || { echo "lab: no base disk"; $B poweroff -f; }
$B mount --move /proc /root/proc; $B mount --move /sys /root/sys; $B mount --move /dev /root/dev
exec $B switch_root /root /sbin/init
