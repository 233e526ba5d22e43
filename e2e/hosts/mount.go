package hosts

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A mount is one line of /proc/self/mountinfo.
type mount struct {
	at      string   // mount point
	kind    string   // file system type
	options []string // of the file system
}

// readMounts returns the mounts of this process, in the order they were made.
func readMounts() ([]mount, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return parseMounts(string(content)), nil
}

// parseMounts parses the format that proc_pid_mountinfo(5) describes; what is not in it, it leaves out.
func parseMounts(content string) (mounts []mount) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(content) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		mounts = append(mounts, mount{at: unescape.Replace(left[4]), kind: right[0], options: strings.Split(right[2], ",")})
	}
	return mounts
}

func (m mount) has(option string) bool { return slices.Contains(m.options, option) }

// isBelow reports whether path is a proper descendant of dir.
func isBelow(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }
