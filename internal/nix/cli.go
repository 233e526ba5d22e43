package nix

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kedge/internal/command"
)

const (
	// stopDelay is how long a command may take to end after SIGTERM, before
	// its whole process group is killed. Nix removes its temporary roots and
	// half-written paths in that time.
	stopDelay = 10 * time.Second
	// stderrLimit is how much of the end of stderr an error keeps: a builder's
	// last lines and Nix's own message.
	stderrLimit = 16 << 10
	// buildLimit is stderrLimit for what builds: Nix says after the cause, which must not
	// be lost, what each derivation failed that needs it, some ten for every host.
	buildLimit = 2 << 20
	// argsLimit bounds the paths of one command in bytes. Linux takes 2 MiB of
	// arguments and environment together.
	argsLimit = 512 << 10
)

// A CLI runs Nix's commands. The zero value runs those on PATH with the
// process's environment. It is safe for concurrent use once set up.
//
// Every method runs until its context ends: then the command gets SIGTERM and,
// ten seconds later, it and its children SIGKILL. A command that fails is a
// [*CommandError].
type CLI struct {
	// BinDir holds nix and nix-store; empty means from PATH.
	BinDir string
	// Settings apply to every command but those of an Evaluator, after those that the method sets.
	Settings []Setting
	// CacheDir replaces ~/.cache, where Nix keeps what it knows about binary
	// caches and fetched sources; empty means Nix's own choice, as for an Evaluator always.
	CacheDir string
	// Evaluator is who evaluates; nil means whoever runs this process.
	Evaluator *User
	// Socket is where nix-daemon listens; empty is where it does on NixOS.
	Socket string
	// Environ is the environment as "NAME=value"; nil means the process's own.
	Environ []string
	// Log gets one debug line for every command; nil means none.
	Log *slog.Logger
}

// A Setting is one option of nix.conf.
type Setting struct{ Name, Value string }

// Version returns the version of the Nix that is run, such as "2.26.3".
func (c *CLI) Version(ctx context.Context) (string, error) {
	out, err := c.run(ctx, "nix-store", []string{"--version"}, nil)
	if err != nil {
		return "", err
	}
	// nix-store (Nix) 2.26.3
	fields := strings.Fields(string(out))
	if len(fields) == 0 {
		return "", errors.New("nix-store --version: it printed nothing")
	}
	return fields[len(fields)-1], nil
}

// run runs program with args, the settings, and operands after "--", and
// returns its standard output.
func (c *CLI) run(ctx context.Context, program string, args, operands []string, settings ...Setting) ([]byte, error) {
	var stdout bytes.Buffer
	err := c.stream(ctx, c.argv(program, args, operands, settings), memory{}, streams{out: &stdout})
	if err != nil {
		return nil, err
	}
	return stdout.Bytes(), nil
}

// logged is run for a command that builds. If log is not nil then it is told what
// that says.
func (c *CLI) logged(ctx context.Context, log LogFunc, program string, args, operands []string, settings ...Setting) error {
	if log != nil {
		args = append(args, "--log-format", logFormat)
	}
	return c.stream(ctx, c.argv(program, args, operands, settings), memory{}, streams{out: io.Discard, log: log, keep: buildLimit})
}

// streams are what a command reads and writes.
type streams struct {
	as   *User     // who runs it; nil for whoever runs this process
	in   *os.File  // closed here once the command has it; nil for nothing
	out  io.Writer // takes what comes as it comes, and stops the command by an error
	log  LogFunc   // takes its standard error, if it is not nil, which is in logFormat then
	keep int       // how much of the end of that an error keeps; zero is stderrLimit
}

// stream runs a command in bounded memory.
func (c *CLI) stream(ctx context.Context, argv []string, m memory, s streams) error {
	stderr := command.Tail{Limit: cmp.Or(s.keep, stderrLimit)}
	run, bound := argv, m.limit
	if s.as != nil {
		run, bound = m.limited(argv), memory{}.limit
	}
	cmd := c.command(ctx, run, &stderr)
	said := textLog{errors: &stderr, each: s.log, last: map[string][]string{}}
	if s.log != nil {
		cmd.Stderr = &lines{each: said.line, lossy: true} // a builder may say anything
	}
	if s.as != nil {
		s.as.become(cmd)
		cmd.Env = append(cmd.Env, c.daemonEnviron()...)
	}
	cmd.Env = append(cmd.Env, m.environ()...)
	cmd.Stdout = s.out
	if s.in != nil {
		cmd.Stdin = s.in
	}
	start := time.Now()
	err := cmd.Start()
	if s.in != nil {
		_ = s.in.Close() // it was not written to
	}
	if err == nil {
		err = bound(cmd.Process.Pid)
		if ended := cmd.Wait(); ended != nil {
			err = ended
		}
	}
	said.end()
	c.log(ctx, argv, time.Since(start), err)
	if err != nil {
		return failure(ctx, cmd, argv, &stderr, err)
	}
	return nil
}

func (c *CLI) argv(program string, args, operands []string, settings []Setting) []string {
	argv := append([]string{filepath.Join(c.BinDir, program)}, args...)
	for _, s := range slices.Concat(settings, c.Settings) {
		argv = append(argv, "--option", s.Name, s.Value)
	}
	if len(operands) > 0 {
		argv = append(append(argv, "--"), operands...)
	}
	return argv
}

// command returns a command that can be run, and that ends with ctx.
func (c *CLI) command(ctx context.Context, argv []string, stderr *command.Tail) *exec.Cmd {
	cmd := command.New(ctx, stopDelay, argv...)
	cmd.Env = c.environ()
	cmd.Stderr = stderr
	return cmd
}

// failure returns the error of a command, called argv, that ended with err.
func failure(ctx context.Context, cmd *exec.Cmd, argv []string, stderr *command.Tail, err error) error {
	code, why := command.Ended(ctx, cmd, err)
	return &CommandError{Args: argv, ExitCode: code, Stderr: stderr.String(), Err: why}
}

func (c *CLI) environ() []string {
	env := c.Environ
	if env == nil {
		env = os.Environ()
	}
	env = command.WithHome(slices.Clone(env))
	if c.CacheDir != "" {
		env = append(env, "XDG_CACHE_HOME="+c.CacheDir)
	}
	return append(env, "LC_ALL=C", "NO_COLOR=1")
}

func (c *CLI) log(ctx context.Context, argv []string, took time.Duration, err error) {
	if c.Log == nil {
		return
	}
	c.Log.DebugContext(ctx, "nix command ended", "command", summary(argv), "seconds", took.Seconds(), "ok", err == nil)
}
