#!/bin/busybox sh
# Loads the modules and goes over to the disk. Whatever fails shows in the console, and ends the machine.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do
    insmod "$module"
done
tries=0
until [ -b /dev/vda ] || [ $tries -ge 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
mkdir /disk
mount -t ext4 /dev/vda /disk && umount /proc && exec switch_root /disk /init
poweroff -f
