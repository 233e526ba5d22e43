package command

import (
	"slices"
	"strings"
)

// WithHome returns an environment with a home in it. Systemd starts a service of root
// without one, and much looks there for its configuration: Nix, git, and what copies to
// caches.
func WithHome(env []string) []string {
	if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "HOME=") && v != "HOME=" }) {
		return env
	}
	return append(slices.Clip(env), "HOME=/root")
}
