package hosts

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// maxNotice bounds one message of the sd_notify protocol, in bytes.
const maxNotice = 64 << 10

// supervisorSocket is where systemd-nspawn says, on its own account, that it has started process 1.
func supervisorSocket(dir string) string { return filepath.Join(dir, "supervisor") }

// leaderSocket is where the host's process 1 says that it is ready. The firmware in the root file system knows its name.
func leaderSocket(dir string) string { return filepath.Join(dir, "pid1") }

// noticeDir has the sockets of a machine's boot, and is bound into the host.
func (m *Machine) noticeDir() string { return filepath.Join(m.disk.dir, "notice") }

// notices are called as a boot proceeds, each one perhaps more than once.
type notices struct {
	started func() // systemd-nspawn has started process 1
	ready   func() // the host's systemd has finished its start
}

// A listener receives the notices of one boot.
type listener struct {
	supervisor, leader *net.UnixConn
	followers          sync.WaitGroup
}

// listen makes both sockets afresh in dir.
func listen(dir string) (*listener, error) {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, fmt.Errorf("listen for notices: %w", err)
	}
	supervisor, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: supervisorSocket(dir), Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for notices: %w", err)
	}
	leader, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: leaderSocket(dir), Net: "unixgram"})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for notices: %w", err), supervisor.Close())
	}
	return &listener{supervisor: supervisor, leader: leader}, nil
}

// follow calls n until close.
func (l *listener) follow(n notices) {
	l.followers.Go(func() { receive(l.supervisor, "X_NSPAWN_LEADER_PID", n.started) })
	l.followers.Go(func() { receive(l.leader, "READY", n.ready) })
}

// close ends the followers and waits for them.
func (l *listener) close() error {
	err := errors.Join(l.supervisor.Close(), l.leader.Close())
	l.followers.Wait()
	return err
}

// receive calls got for every message with a value for key, until conn is closed.
func receive(conn *net.UnixConn, key string, got func()) {
	buffer := make([]byte, maxNotice)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return // closed
		}
		if hasKey(string(buffer[:n]), key) {
			got()
		}
	}
}

// hasKey reports whether a message of the sd_notify protocol assigns a value to key.
func hasKey(message, key string) bool {
	for line := range strings.Lines(message) {
		if strings.HasPrefix(line, key+"=") {
			return true
		}
	}
	return false
}
