package natsd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kedge/controller/internal/natsd"
)

// Environment variables that make this test binary a server.
const (
	processDir    = "KEDGE_TEST_NATSD_STATE"
	processListen = "KEDGE_TEST_NATSD_LISTEN"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(processDir); dir != "" {
		var err error
		if file := os.Getenv(processConfig); file != "" {
			err = serveConfig(file, os.Getenv(processListen))
		} else {
			err = serve(dir, os.Getenv(processListen))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

// serve runs a server until standard input ends, and prints its URL.
func serve(dir, listen string) error {
	s, err := natsd.Start(context.Background(), natsd.Options{StateDir: dir, Listen: listen, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer s.Shutdown()
	if _, err := fmt.Fprintln(os.Stdout, s.ClientURL()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// A process is a server in a process of its own, which can be killed.
type process struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
}

// startProcess starts a server on address.
func startProcess(t *testing.T, dir, address string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), processDir+"="+dir, processListen+"="+address)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, stdin: stdin}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	p.url = strings.TrimSpace(line)
	return p
}

// kill ends the process with SIGKILL. It may be called again.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
	_ = p.stdin.Close()
}

// address returns where the server listens.
func (p *process) address() string { return strings.TrimPrefix(p.url, "nats://") }
