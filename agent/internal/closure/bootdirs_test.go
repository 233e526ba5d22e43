package closure

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// TestBootPartitions: wherever NixOS mounts what it copies kernels to, there has to be
// room, and nowhere else.
func TestBootPartitions(t *testing.T) {
	const (
		grub     = "/grub/grub.cfg"
		kernels  = "/kernels/a-linux"
		systemd  = "/EFI/nixos/a-linux.efi"
		infoLine = "36 25 8:1 / %s rw,relatime shared:1 - %s /dev/sda1 rw\n"
	)
	for _, tt := range []struct {
		name    string
		files   []string
		mounted map[string]string // the kinds of file systems, by mount point
		want    []string
	}{
		{"nothing installed yet", nil, nil, []string{"/boot"}},
		{"the EFI system partition at /boot", []string{"/boot" + systemd}, nil, []string{"/boot"}},
		{"at /efi", []string{"/efi" + systemd}, nil, []string{"/efi"}},
		{"at /boot/efi", []string{"/boot/efi" + systemd}, nil, []string{"/boot/efi"}},
		{"with GRUB alone on it", []string{"/boot" + grub, "/boot" + kernels, "/boot/efi/EFI/BOOT/BOOTX64.EFI"}, nil, []string{"/boot"}},
		{"with the kernels on another one beside it", []string{"/efi/EFI/systemd/systemd-bootx64.efi", "/boot" + systemd}, nil, []string{"/boot"}},
		{
			"GRUB's mirrored boots",
			[]string{"/boot1" + grub, "/boot1" + kernels, "/boot 2" + grub, "/boot 2" + kernels},
			map[string]string{"/boot1": "ext4", `/boot\0402`: "vfat"},
			[]string{"/boot 2", "/boot1"},
		},
		{"elsewhere", []string{"/mnt/esp" + systemd}, map[string]string{"/mnt/esp": "vfat"}, []string{"/mnt/esp"}},
		{"not one that is not mounted", []string{"/mnt/esp" + systemd}, nil, []string{"/boot"}},
		{"nor one over the network", []string{"/mnt/esp" + systemd}, map[string]string{"/mnt/esp": "nfs4"}, []string{"/boot"}},
		{"GRUB that loads the kernels from the store", []string{"/boot" + grub}, map[string]string{"/": "ext4"}, []string{"/boot"}},
		{"extlinux and Limine", []string{"/boot/extlinux/extlinux.conf", "/boot/nixos/a-Image", "/efi/limine/limine.conf"}, nil, []string{"/boot", "/efi"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := bootTree()
			for _, name := range tt.files {
				f[name] = "x"
			}
			for dir, kind := range tt.mounted {
				f[mountInfo] += strings.NewReplacer("%s rw,", dir+" rw,", "- %s", "- "+kind).Replace(infoLine)
			}
			root := f.write(t)
			v := volumes{"/": Volume{ID: 1, Free: 1 << 30}}
			for _, dir := range append(tt.want, "/boot", "/efi", "/boot/efi", "/mnt/esp") {
				v[dir] = Volume{ID: 2, Free: 1 << 30}
			}
			p := Preflight{Root: root, Volume: v.in(root)}
			if err := p.Check(parse(t, toplevelText)); err != nil {
				t.Fatal(err)
			}
			var got []string
			for dir := range v {
				enough := v[dir]
				v[dir] = Volume{ID: 2}
				if err := p.Check(parse(t, toplevelText)); err != nil && dir != "/" {
					requireReason(t, err, proto.ReasonDiskFull)
					if !strings.Contains(err.Error(), "boot partition, "+dir+",") {
						t.Errorf("%q does not name %s", err, dir)
					}
					got = append(got, dir)
				}
				v[dir] = Volume{ID: 3, Free: 1 << 30, ReadOnly: true}
				if err := (Room{Root: root, Volume: v.in(root)}).host().writable(); (err != nil) != (len(got) > 0 && got[len(got)-1] == dir) {
					t.Errorf("%s is read-only: %v", dir, err)
				}
				v[dir] = enough
			}
			if diff := cmp.Diff(tt.want, slices.Sorted(slices.Values(got))); diff != "" {
				t.Errorf("boot partitions (-want +got):\n%s", diff)
			}
		})
	}
}
