// Package mounts knows what this process has mounted, and unmounts what was left
// below a directory.
package mounts

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Mount is one line of /proc/self/mountinfo.
type Mount struct {
	At      string   // mount point
	Kind    string   // file system type
	Options []string // of the file system
}

// Has reports whether the file system was mounted with the option.
func (m Mount) Has(option string) bool { return slices.Contains(m.Options, option) }

// Read returns the mounts of this process, in the order they were made.
func Read() ([]Mount, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return parse(string(content)), nil
}

// parse parses the format that proc_pid_mountinfo(5) describes; what is not in it, it leaves out.
func parse(content string) (mounts []Mount) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(content) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		mounts = append(mounts, Mount{At: unescape.Replace(left[4]), Kind: right[0], Options: strings.Split(right[2], ",")})
	}
	return mounts
}

// Detach unmounts everything at or below dir, the last mounted first. It is no error if nothing is.
func Detach(dir string) error {
	mounts, err := Read()
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range slices.Backward(mounts) {
		if m.At != dir && !strings.HasPrefix(m.At, dir+"/") {
			continue
		}
		if err := unix.Unmount(m.At, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", m.At, err))
		}
	}
	return errors.Join(errs...)
}
