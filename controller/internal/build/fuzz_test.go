package build

import (
	"strings"
	"testing"

	"kedge/internal/nix"
)

// What a build says, and Nix about it, names derivations or nothing.
func FuzzParseCauses(f *testing.F) {
	const drv = "/nix/store/s73vq4czw0wshq3dvvfg483ppwrgxrmm-x.drv"
	for _, s := range []string{
		"", "error: builder for '" + drv + "' failed with exit code 1;\n       last 1 log lines:\n       > boom",
		"error: Cannot build '" + drv + "'.\n       Reason: builder failed", "error:\nerror: " + drv + "\nerror:", "error: 1 dependencies of derivation '" + drv + "' failed to build",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, stderr string) {
		for _, c := range parseCauses(&nix.CommandError{Stderr: stderr}) {
			if c.derivation.IsZero() || !strings.Contains(stderr, c.derivation.String()) {
				t.Errorf("of %q: got %+v", stderr, c)
			}
		}
	})
}
