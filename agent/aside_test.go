package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/proto"
)

// What only remembers what is over keeps nothing from being deployed: where it cannot be
// understood it is set aside, which is told.
func TestACursorThatCannotBeUnderstoodBeginsAnew(t *testing.T) {
	for _, name := range []string{"reported.json", "hooks.json"} {
		for what, content := range map[string]string{"torn": strings.Repeat("\x00", 64), "newer": `{"format":99}`} {
			t.Run(name+" "+what, func(t *testing.T) {
				w := newWorld(t)
				w.proved()
				w.hooks = everyHook()
				path := filepath.Join(w.files.State, name)
				w.must(os.WriteFile(path, []byte(content), 0o600))
				w.start()
				w.assign(7, pathB)
				w.commit(w.awaitTransaction())
				w.await("the hooks after the end, and every step", func() bool {
					told := func(p proto.Phase) bool {
						return slices.ContainsFunc(w.events, func(e proto.Event) bool { return e.Phase == p })
					}
					return len(w.calls) == 3 && told(proto.PhaseAccepted) && told(proto.PhaseCommitted)
				})
				w.mu.Lock()
				defer w.mu.Unlock()
				about := slices.DeleteFunc(slices.Clone(w.events), func(e proto.Event) bool { return e.Reason != proto.ReasonStateUnreadable })
				if len(about) != 1 || !strings.Contains(about[0].Message, path+".unreadable") {
					t.Errorf("told of it: %+v, want once, with where it is now", about)
				}
				if b, err := os.ReadFile(path + ".unreadable"); err != nil || string(b) != content {
					t.Errorf("set aside is %q, %v", b, err)
				}
			})
		}
	}
}
