package stc

import (
	"os"
	"strings"

	systemdunit "github.com/coreos/go-systemd/v22/unit"
)

// A mount is one line of an fstab.
type mount struct{ device, kind, options string }

// readFstab returns the mounts of an fstab by mount point, without swap; none if it cannot be read.
func readFstab(file string) map[string]mount {
	mounts := map[string]mount{}
	text, err := os.ReadFile(file)
	if err != nil {
		return mounts
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if strings.Contains(line, "#") || len(fields) < 3 || fields[2] == "swap" {
			continue
		}
		m := mount{device: fields[0], kind: fields[2]}
		if len(fields) > 3 {
			m.options = fields[3]
		}
		mounts[fields[1]] = m
	}
	return mounts
}

// fileSystems plans what becomes of the mounts of old in fresh. New ones need nothing: they come
// with local-fs.target. The root and /nix are never unmounted.
func (p *plan) fileSystems(old, fresh map[string]mount) {
	for point, was := range old {
		name := systemdunit.UnitNamePathEscape(point) + ".mount"
		is, stays := fresh[point]
		other := was.kind != is.kind || was.device != is.device
		kept := point == "/" || point == "/nix"
		switch {
		case !stays && strings.Contains(was.options, "x-systemd.automount"):
			p.stop.add(strings.TrimSuffix(name, ".mount") + ".automount")
		case !stays:
			p.stop.add(name)
		case other && !kept:
			p.addRestart(name)
		case was.options != is.options:
			p.addReload(name)
		case other:
			p.skip.add(name)
		}
	}
}
