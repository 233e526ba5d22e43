package rootfs

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
)

// suite is the Debian release of the hosts: the oldest with a Nix that kedge supports.
const suite = "trixie"

// recipeVersion changes whenever the steps of build change without changing any of the lists below.
const recipeVersion = 1

// keyPrefix begins the name of every finished root file system in the cache.
const keyPrefix = suite + "-"

// files holds what is laid over the installed packages, under its path in the root file system.
//
//go:embed files
var files embed.FS

// base is what debootstrap installs.
func base() []string {
	return []string{"systemd", "systemd-sysv", "dbus", "iproute2", "ca-certificates"}
}

// added is installed in a second step, since debootstrap cannot configure nix-bin.
func added() []string {
	return []string{"nix-bin", "git", "openssh-server", "openssh-client", "curl", "procps", "iputils-ping"}
}

// dropped is what no host needs, as patterns of paths: units that Debian pulls into each boot but a container cannot use,
// generators (each runs at every daemon-reload), and bulk. The units' own files stay, so that a system may still name them.
func dropped() []string {
	return []string{
		"etc/systemd/system/*.wants",
		"etc/machine-id", // each machine has its own
		"usr/lib/systemd/system-generators/*",
		"usr/lib/systemd/system/getty.target.wants/*",
		"usr/lib/systemd/system/local-fs.target.wants/run-lock.mount",
		"usr/lib/systemd/system/multi-user.target.wants/getty.target",
		"usr/lib/systemd/system/multi-user.target.wants/systemd-ask-password-wall.path",
		"usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service",
		"usr/lib/systemd/system/sockets.target.wants/systemd-[^j]*",
		"usr/lib/systemd/system/sysinit.target.wants/[^s]*",
		"usr/lib/systemd/system/sysinit.target.wants/systemd-[^jst]*",
		"usr/lib/systemd/system/sysinit.target.wants/sys-*",
		"usr/lib/systemd/system/sysinit.target.wants/systemd-journal-catalog-update.service",
		"usr/lib/systemd/system/sysinit.target.wants/systemd-sysusers.service",
		"usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup-dev*",
		"usr/lib/systemd/system/sysinit.target.wants/systemd-tpm2-*",
		"usr/lib/systemd/system/timers.target.wants/*",
		"usr/share/doc/*",
		"usr/share/info/*",
		"usr/share/locale/*",
		"usr/share/man/*",
		"var/cache/apt/*",
		"var/lib/apt/lists/*",
		"var/log/*.log",
	}
}

// links are symbolic links, by path: what a boot reaches, and that nothing is resolved outside.
func links() map[string]string {
	return map[string]string{
		"usr/lib/systemd/system/default.target":  "multi-user.target",
		"etc/systemd/system/ctrl-alt-del.target": "/dev/null",
	}
}

// key names the root file system: it changes with everything that goes into it.
func key() string {
	h := sha256.New()
	// Writing to a hash never fails.
	_, _ = fmt.Fprintln(h, suite, recipeVersion, base(), added(), dropped(), links())
	tree{files, "files"}.hash(h)
	return keyPrefix + hex.EncodeToString(h.Sum(nil))[:12]
}
