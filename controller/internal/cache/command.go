package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"kedge/internal/command"
	"kedge/proto"
)

const (
	// stopDelay is how long a command may take to end after it was asked to, and what it
	// left behind to let go of its output.
	stopDelay = 5 * time.Second
	// outputLimit is how many bytes of the end of what it said are kept, and shownLimit how
	// many an error shows.
	outputLimit, shownLimit = 64 << 10, 1 << 10
	// maxToken is how long a token may be.
	maxToken = 16 << 10
)

// run has the command of t copy the closures of systems. What it said last is in the
// error, without the token.
func (t Target) run(ctx context.Context, systems []proto.StorePath) error {
	token, err := t.token()
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, s := range systems {
		lines.WriteString(s.String() + "\n")
	}
	said := command.Tail{Limit: outputLimit}
	cmd := command.New(ctx, stopDelay, t.Command...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(lines.String()), &said, &said
	cmd.Env = command.WithHome(os.Environ())
	if token != "" {
		cmd.Env = append(cmd.Env, t.TokenVariable+"="+token)
	}
	err = command.Run(ctx, cmd)
	if cmd.Process != nil {
		// Whatever it left behind has the token. Mostly that is nothing; that this fails
		// then is what we want.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if ctx.Err() == nil && (err == nil || errors.Is(err, exec.ErrWaitDelay)) {
		return nil // it ended well, but for what it may have left behind
	}
	_, why := command.Ended(ctx, cmd, err)
	if text := shown(said.String(), token); text != "" {
		why = fmt.Errorf("%w: %s", why, text)
	}
	return why
}

// shown returns the end of what a command said, as one line and without its token.
func shown(said, token string) string {
	if token != "" {
		said = strings.ReplaceAll(said, token, "(secret)")
	}
	said = strings.Join(strings.Fields(said), " ")
	return strings.ToValidUTF8(said[max(0, len(said)-shownLimit):], "")
}

// token returns what is in the file of t's token; empty if there is none.
func (t Target) token() (string, error) {
	if t.TokenFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(t.TokenFile)
	if err != nil {
		return "", fmt.Errorf("token_file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || len(token) > maxToken || strings.ContainsAny(token, "\n\x00") {
		return "", fmt.Errorf("token_file: %s must hold a token, on one line", t.TokenFile)
	}
	return token, nil
}
