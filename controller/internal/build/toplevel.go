package build

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kedge/proto"
)

// A NotAToplevelError says that a store path is no NixOS system that a host
// could be switched to.
type NotAToplevelError struct {
	Path    proto.StorePath
	Missing []string // files, relative to Path
}

// Error implements error.
func (e *NotAToplevelError) Error() string {
	return fmt.Sprintf("%s is not a NixOS toplevel: it lacks %s", e.Path, strings.Join(e.Missing, ", "))
}

// CheckToplevel reports why a path in the local store is no toplevel of a NixOS
// system, as a [*NotAToplevelError], or nil. What a host needs beyond that (an
// agent to come back with, for one) the host says.
func CheckToplevel(p proto.StorePath) error { return checkToplevel(proto.StoreDir, p) }

func checkToplevel(store string, p proto.StorePath) error {
	dir := filepath.Join(store, p.Base())
	var missing []string
	for _, file := range []string{"bin/switch-to-configuration", "init", "init-interface-version", "nixos-version", "etc"} {
		// Links lead to other store paths, and are followed: what they lead to
		// must be there too.
		stat, err := os.Stat(filepath.Join(dir, file))
		if err != nil || (strings.HasPrefix(file, "bin/") && !isProgram(stat)) {
			missing = append(missing, file)
		}
	}
	if len(missing) > 0 {
		return &NotAToplevelError{Path: p, Missing: missing}
	}
	return nil
}

func isProgram(stat fs.FileInfo) bool {
	return stat.Mode().IsRegular() && stat.Mode().Perm()&0o111 != 0
}
