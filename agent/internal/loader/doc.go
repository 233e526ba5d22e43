// Package loader asks a host's boot loader to boot a system once, and says what
// happens if that boot does not come to anything.
//
// It does not write boot entries: NixOS' own installer does, when a system is
// registered. It finds the entry of a system by what the entry boots,
// init=<toplevel>/init, because its name tells nothing reliable: systemd-boot's
// were nixos-generation-<n>.conf, with the tries left behind it if boots are
// counted, and are hashes in newer NixOS; Secure Boot's (lanzaboote) are images;
// GRUB's are titles with a date.
//
//   - systemd-boot takes the entry of its EFI variable LoaderEntryOneShot, and
//     clears that before it boots it. bootctl sets it.
//   - GRUB as NixOS configures it (a grub.cfg that knows next_entry) takes the
//     entry from its environment block, and clears that before it boots it, if it
//     can write to the file system: it writes in place, so not to one that copies
//     on write, nor below RAID, LVM or encryption.
//   - Every other loader boots its default only.
package loader
