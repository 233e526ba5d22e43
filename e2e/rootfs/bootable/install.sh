#!/bin/sh
# Run in a chroot of the plain root file system, with apt's options as arguments: adds what a real computer needs beside it.
# What is booted is left in /usr/lib/e2e/linux, as NixOS names it: bzImage and initrd.
set -eu

apt-get "$@" update --quiet=2
apt-get "$@" install --yes --no-install-recommends -oDpkg::Options::=--force-unsafe-io \
	systemd-boot-tools systemd-boot-efi busybox-static

# The kernel alone, not the tools that would make an initrd for any computer there is.
work=$(mktemp -d)
cd "$work"
apt-get "$@" download "$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-\)/\1/p')"
dpkg-deb -x linux-image-*.deb kernel
linux=/usr/lib/e2e/linux
mkdir -p "$linux"
cp kernel/boot/vmlinuz-* "$linux/bzImage"

mkdir -p initrd/bin initrd/dev initrd/proc initrd/sys initrd/root initrd/modules
cp /usr/bin/busybox initrd/bin/
install -m 0755 /usr/lib/e2e/initrd-init initrd/init
while read -r module; do
	busybox unxz -c "$(find kernel -name "$module.ko.xz")" >"initrd/modules/$module.ko"
done </usr/lib/e2e/modules
cp /usr/lib/e2e/modules initrd/modules/list
(cd initrd && find . | busybox cpio -o -H newc) >"$linux/initrd"

cd /
rm -rf "$work"
