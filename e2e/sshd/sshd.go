// Package sshd runs an SSH server, whose sessions have a Nix store of their own, for the
// tests of what reaches other machines. It runs in a test host, as root.
package sshd

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"kedge/internal/nix"
)

// config is of the server. Its sessions have a setting of Nix.
const config = `Port 2299
ListenAddress 127.0.0.1
HostKey @DIR@/host
AuthorizedKeysFile @DIR@/user.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
LogLevel VERBOSE
SetEnv "NIX_CONFIG=@SETTING@"
`

// A Server is an SSH server that runs. There is one at a time.
type Server struct {
	Store nix.SSHStore // how it is reached
	Dir   string       // where the objects of its store are

	cmd *exec.Cmd // nil once it has ended
}

// Start starts a server, with its keys and its store in a folder. Its Nix is not the one
// here, and has a setting, such as "trusted-public-keys = …". It must be stopped.
func Start(ctx context.Context, dir, setting string) (*Server, error) {
	for _, folder := range []string{filepath.Join(dir, "nix"), "/run/sshd"} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, fmt.Errorf("start sshd: %w", err)
		}
	}
	for _, name := range []string{"host", "user"} {
		out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("start sshd: make keys: %w: %s", err, out)
		}
	}
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	file := filepath.Join(dir, "sshd_config")
	for name, text := range map[string]string{
		filepath.Join(dir, "known"): "[127.0.0.1]:2299 " + string(public),
		file:                        strings.NewReplacer("@DIR@", dir, "@SETTING@", setting).Replace(config),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("start sshd: %w", err)
		}
	}
	return start(ctx, dir, file)
}

func start(ctx context.Context, dir, file string) (*Server, error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "unshare", "--mount", "--", "sh", "-c",
		`mount --bind "$1" /nix && exec /usr/sbin/sshd -D -e -f "$2"`, "sh", filepath.Join(dir, "nix"), file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	s := &Server{Dir: filepath.Join(dir, "nix/store"), cmd: cmd, Store: nix.SSHStore{
		URL: "ssh-ng://root@127.0.0.1:2299", KeyFile: filepath.Join(dir, "user"), KnownHostsFile: filepath.Join(dir, "known"),
	}}
	lines := bufio.NewScanner(said)
	var heard []string
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Server listening") {
			go func() { // ends with sshd
				for lines.Scan() {
					continue
				}
			}()
			return s, nil
		}
		heard = append(heard, lines.Text())
	}
	s.Stop()
	return nil, fmt.Errorf("start sshd: %s", strings.Join(heard, "; "))
}

// Stop ends the server, but no session that there is. It may be called twice.
func (s *Server) Stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // it may have ended by itself
		_ = s.cmd.Wait()         // it was killed
		s.cmd = nil
	}
}
