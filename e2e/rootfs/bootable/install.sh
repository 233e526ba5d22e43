#!/bin/sh
# Run in a chroot of the plain root file system, with apt's options as arguments: adds what a real computer needs beside it.
# What is booted is left in /usr/lib/e2e/linux, as NixOS names it: bzImage and initrd.
set -eu

apt-get "$@" update --quiet=2
apt-get "$@" install --yes --no-install-recommends -oDpkg::Options::=--force-unsafe-io \
	systemd-boot-tools systemd-boot-efi busybox-static

# What marks a boot as good that systemd-boot counts, without the rest of its package, which would install it.
bless=$(mktemp -d)
cd "$bless"
apt-get "$@" download systemd-boot
dpkg-deb -x systemd-boot_*.deb .
for file in systemd-bless-boot system/systemd-bless-boot.service; do
	cp "usr/lib/systemd/$file" "/usr/lib/systemd/$file"
done
# What its generator would do, but there are none; see the drop-in for when it would.
mkdir -p /usr/lib/systemd/system/basic.target.wants
ln -s ../systemd-bless-boot.service /usr/lib/systemd/system/basic.target.wants/

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

# GRUB as one program with its modules: what grub-install makes, but that it finds its directory by the menu in it.
apt-get "$@" download grub-common grub-efi-amd64-bin libdevmapper1.02.1
for package in grub-*.deb libdevmapper*.deb; do
	dpkg-deb -x "$package" grub
done
LD_LIBRARY_PATH=grub/usr/lib/x86_64-linux-gnu grub/usr/bin/grub-mkimage --format=x86_64-efi --directory=grub/usr/lib/grub/x86_64-efi --config=/usr/lib/e2e/grub-early.cfg \
	--prefix=/boot/grub --output=/usr/lib/e2e/grubx64.efi \
	configfile echo ext2 halt linux loadenv normal part_gpt search search_fs_file search_label test

cd /
rm -rf "$work" "$bless"
