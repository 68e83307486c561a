#!/bin/bash
# Process 1 of the machine, once its disk is there: runs the tests and says over the second serial port how they went.
export PATH=/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs run /run
busybox ip link set lo up

# As it is, without a carriage return before each end of a line.
stty -F /dev/ttyS1 115200 raw
exec </dev/null >/dev/ttyS1 2>&1
cd /test
mapfile -t arguments <arguments
./container "${arguments[@]}"
echo "end $?"

# Closing the port waits until everything is sent.
exec >/dev/console 2>&1
sync
busybox poweroff -f
