// Package inhibitors is the pre-switch check that every NixOS system carries: it refuses to go live
// over a change that only a reboot should bring.
package inhibitors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// ErrChanged is returned by Check when there are changes that should wait for a reboot.
var ErrChanged = errors.New("changes to critical components")

// Check compares the switch-inhibitors of the running and of the incoming system and explains to w
// what it found. Only what both name counts; a file that is missing or no JSON object names nothing.
func Check(w io.Writer, current, incoming string) error {
	old, fresh := read(current), read(incoming)
	var changes []string
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if to, ok := fresh[name]; ok && to != old[name] {
			changes = append(changes, fmt.Sprintf("%s : %s -> %s", name, old[name], to))
		}
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "Checking switch inhibitors... done")
		return err
	}
	_, err := fmt.Fprintf(w, `Checking switch inhibitors...
There are changes to critical components of the system:

%s

Switching into this system is not recommended.
You probably want to run 'nixos-rebuild boot' and reboot your system instead.
If you really want to switch into this configuration directly, then
you can set NIXOS_NO_CHECK=1 to ignore these pre-switch checks.
`, strings.Join(changes, "\n"))
	return errors.Join(ErrChanged, err)
}

func read(file string) map[string]string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var values map[string]string
	if json.Unmarshal(text, &values) != nil {
		return nil
	}
	return values
}
