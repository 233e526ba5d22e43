package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Run is [RunSpared] for a command that is somebody else's. However much its parent is to
// be spared when memory runs out, the command is not: its score is that of every process
// (see oom_score_adj in proc(5)).
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ordinary(cmd.Process.Pid)
	return wait(ctx, cmd)
}

// ordinary gives the process, and what it has started by now, the score of every
// process. What it starts later inherits that. One that is being made right then may be
// missed: it is spared, which is no harm but to the others.
func ordinary(pid int) {
	// It fails if the process has ended, and then there is nothing to do.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // none, where it cannot be read
	for child := range strings.FieldsSeq(string(children)) {
		var id int
		if _, err := fmt.Sscan(child, &id); err == nil {
			ordinary(id)
		}
	}
}
