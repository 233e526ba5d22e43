package guest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// Serve says over the line that the boot is there, and answers every request for it, each as soon as its program has ended.
// It returns when the line ends or fails. What it runs gets env.
func Serve(ctx context.Context, line io.ReadWriter, boot string, env []string) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	out := &writer{line: line}
	if err := out.say(Reply{Boot: boot}); err != nil {
		return err
	}
	for in := bufio.NewReader(line); ; {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("listen to the line: %w", err)
		}
		var r Request
		if json.Unmarshal(text, &r) != nil || r.Boot != boot || len(r.Args) == 0 {
			continue // said to an earlier boot, perhaps cut off by its end
		}
		running.Go(func() {
			_ = out.say(run(ctx, r, env)) // a line that fails ends the reading, too
		})
	}
}

// A writer writes one reply at a time.
type writer struct {
	mu   sync.Mutex
	line io.Writer
}

// say begins with an end of line: what an earlier boot wrote may lack it.
func (w *writer) say(r Reply) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("say something over the line: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := fmt.Fprintf(w.line, "\n%s\n", text); err != nil {
		return fmt.Errorf("say something over the line: %w", err)
	}
	return nil
}

func run(ctx context.Context, r Request, env []string) Reply {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, r.Args[0], r.Args[1:]...)
	cmd.Dir, cmd.Env = "/", env
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	reply := Reply{Boot: r.Boot, ID: r.ID}
	if err := cmd.Run(); err != nil {
		reply.Code, reply.Error = -1, err.Error()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			reply.Code = exit.ExitCode()
		}
	}
	reply.Stdout, reply.Stderr = stdout.Bytes(), stderr.Bytes()
	return reply
}
