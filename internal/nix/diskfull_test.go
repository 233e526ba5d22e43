package nix

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

func TestDiskFull(t *testing.T) {
	command := func(stderr string) error {
		return fmt.Errorf("copy: %w", &CommandError{Args: []string{"nix", "copy"}, ExitCode: 1, Stderr: stderr, Err: errors.New("exit status 1")})
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                     {nil, false},
		"another failure":             {command("error: hash mismatch"), false},
		"a missing file":              {fs.ErrNotExist, false},
		"a full disk of our own":      {&fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}, true},
		"a quota of our own":          {&fs.PathError{Op: "write", Path: "/x", Err: syscall.EDQUOT}, true},
		"a command's full disk":       {command("error: writing to file: No space left on device"), true},
		"a command's full database":   {command("error: executing SQLite statement: database or disk is full, in '/nix/var/nix/db/db.sqlite'"), true},
		"what its text does not show": {command("error: No space left on device\n" + strings.Repeat("x", 4096) + "\nerror: the end"), true},
		"words without a command":     {errors.New("fatal: write error: No space left on device"), true},
	} {
		if got := DiskFull(c.err); got != c.want {
			t.Errorf("%s: got %t, want %t: %v", name, got, c.want, c.err)
		}
	}
}
