package source

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"kedge/internal/command"
)

const (
	// stopDelay is how long git may take to end after SIGTERM: it removes its
	// lock files then.
	stopDelay = 5 * time.Second
	// outputLimit is how much of what git writes to stderr is kept.
	outputLimit = 4 << 10
	// answerLimit is how much git may write to stdout: a tree of few objects can have more
	// files than there is memory for their names.
	answerLimit = 64 << 20
	// sshCommand never asks, and does not wait for ever.
	sshCommand = "ssh -oBatchMode=yes -oConnectTimeout=15 -oServerAliveInterval=15"
)

// git runs the git command line. The zero value works.
type git struct {
	dir     string // the repository, with .git in it; "" for commands that need none
	env     []string
	patient bool // commands may take long: they begin anew each time
}

// A gitError says that a git command failed.
type gitError struct {
	command  string
	exitCode int // -1: not started, or ended by a signal
	stderr   string
	err      error
}

func (e *gitError) Error() string {
	text := fmt.Sprintf("git %s: %v", e.command, e.err)
	if e.stderr != "" {
		text += ": " + e.stderr
	}
	return text
}

func (e *gitError) Unwrap() error { return e.err }

// isAbsence reports whether a repository answered that it lacks what was asked
// for. These are the words of git's servers; hosting services use them too.
func (e *gitError) isAbsence() bool {
	for _, text := range []string{"not our ref", "unadvertised object", "couldn't find remote ref"} {
		if strings.Contains(e.stderr, text) {
			return true
		}
	}
	return false
}

// settings keep git to what it is asked to do: no questions, no work in the
// background, no hooks, nothing but the transports that [parseURL] lets in.
func settings() []string {
	return []string{
		"-c", "core.hooksPath=/dev/null",
		"-c", "gc.autoDetach=false",
		// Packs are synced to the disk, loose objects and references are not by themselves.
		"-c", "fetch.unpackLimit=1",
		"-c", "core.fsync=loose-object,reference",
		// What a repository borrows is no history of its own: that may end early, where only
		// the other one knows.
		"-c", "core.alternateRefsCommand=true",
		"-c", "protocol.allow=never",
		"-c", "protocol.file.allow=always",
		"-c", "protocol.ssh.allow=always",
		"-c", "protocol.https.allow=always",
		"-c", "http.lowSpeedLimit=1000",
		"-c", "http.lowSpeedTime=30",
	}
}

var errAnswer = fmt.Errorf("it says more than %d bytes", answerLimit)

// An answer is what git writes to stdout, up to answerLimit.
type answer struct {
	text bytes.Buffer
	over bool // there was more
}

// Write implements io.Writer.
func (a *answer) Write(p []byte) (int, error) {
	if a.over = a.text.Len()+len(p) > answerLimit; a.over {
		return 0, errAnswer // and git ends, as nobody reads any more
	}
	return a.text.Write(p)
}

// run runs git with args and returns its standard output. The whole process
// group, with ssh in it, ends with ctx.
func (g git) run(ctx context.Context, args ...string) (string, error) {
	var stdout answer
	stderr := command.Tail{Limit: outputLimit}
	cmd := g.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		code, why := command.Ended(ctx, cmd, err)
		if stdout.over {
			code, why = -1, errAnswer
		}
		said := strings.Join(strings.Fields(stderr.String()), " ")
		return "", &gitError{command: args[0], exitCode: code, stderr: said, err: why}
	}
	return stdout.text.String(), nil
}

// command returns git with args, which can be run and ends with ctx.
func (g git) command(ctx context.Context, args ...string) *exec.Cmd {
	argv := append([]string{"git"}, settings()...)
	if g.dir != "" {
		argv = append(argv, "-C", g.dir)
	}
	cmd := command.New(ctx, stopDelay, append(argv, args...)...)
	cmd.Env = g.environ()
	return cmd
}

// environ returns the process's environment without what would make git look at
// another repository, and with what keeps it from asking questions.
func (g git) environ() []string {
	env := slices.DeleteFunc(command.WithHome(os.Environ()), func(v string) bool {
		return strings.HasPrefix(v, "GIT_") && !strings.HasPrefix(v, "GIT_SSH")
	})
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "GIT_SSH_COMMAND=") }) {
		env = append(env, "GIT_SSH_COMMAND="+sshCommand)
	}
	env = append(env, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	return append(env, g.env...)
}
