package nix

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTreesAreWrittenInNixsFormat; that Nix makes the same path of it, host tests show.
func TestTreesAreWrittenInNixsFormat(t *testing.T) {
	link, program := Text("a/b"), Text("#!/bin/sh\n")
	link.Symlink, program.Executable = true, true
	tree := &File{Entries: map[string]*File{
		"foo.txt": Text("text"), "foo": {Entries: map[string]*File{}}, "link": link, "run": program, "empty": Text(""),
	}}
	var got bytes.Buffer
	w := newWire(&got, nil)
	w.writeTree(tree)
	if w.flush(); w.err != nil {
		t.Fatal(w.err)
	}
	var want bytes.Buffer
	e := newWire(&want, nil)
	e.writeTexts("nix-archive-1", "(", "type", "directory",
		"entry", "(", "name", "empty", "node", "(", "type", "regular", "contents", "", ")", ")",
		"entry", "(", "name", "foo", "node", "(", "type", "directory", ")", ")",
		"entry", "(", "name", "foo.txt", "node", "(", "type", "regular", "contents", "text", ")", ")",
		"entry", "(", "name", "link", "node", "(", "type", "symlink", "target", "a/b", ")", ")",
		"entry", "(", "name", "run", "node", "(", "type", "regular", "executable", "", "contents", "#!/bin/sh\n", ")", ")",
		")")
	e.flush()
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("got\n%q, want\n%q", got.Bytes(), want.Bytes())
	}
}

// TestATreeThatCannotBeRead is no archive: the error names the file.
func TestATreeThatCannotBeRead(t *testing.T) {
	gone := errors.New("gone")
	for name, open := range map[string]func() (io.ReadCloser, int64, error){
		"it cannot be opened": func() (io.ReadCloser, int64, error) { return nil, 0, gone },
		"it ends early":       func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("x")), 2, nil },
	} {
		w := newWire(io.Discard, nil)
		w.writeTree(&File{Entries: map[string]*File{"a": {Entries: map[string]*File{"b": {Open: open}}}}})
		if w.err == nil || !strings.HasPrefix(w.err.Error(), "a/b: ") {
			t.Errorf("%s: got error %v, want one that begins with a/b", name, w.err)
		}
	}
}

// TestAnotherUserGetsNothingOfOurs: neither our environment nor root's powers.
func TestAnotherUserGetsNothingOfOurs(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "true")
	c := CLI{Environ: []string{"PATH=/bin", "HOME=/root", "KEDGE_TOKEN=s3cret", "CREDENTIALS_DIRECTORY=/run/credentials/x", "https_proxy=http://proxy"}, Socket: "/s"}
	cmd = c.command(t.Context(), cmd.Args, nil)
	(&User{uid: 7, gid: 8, groups: []uint32{8, 9}, home: "/home/x"}).become(cmd)
	if got, want := strings.Join(cmd.Env, " "), "PATH=/bin https_proxy=http://proxy LC_ALL=C NO_COLOR=1 HOME=/home/x"; got != want {
		t.Errorf("environment %q, want %q", got, want)
	}
	if cmd.Dir != "/" {
		t.Errorf("runs in %q", cmd.Dir)
	}
	if as := cmd.SysProcAttr.Credential; as.Uid != 7 || as.Gid != 8 || len(as.Groups) != 2 || as.NoSetGroups {
		t.Errorf("runs as %+v", as)
	}
	c.Settings, c.Evaluator = []Setting{{"builders", "ssh://s3cret"}}, &User{}
	if got := strings.Join(c.evaluator().argv("nix", []string{"eval"}, nil, nil), " "); got != "nix eval" {
		t.Errorf("evaluates with %q", got)
	}
	if got := strings.Join(c.daemonEnviron(), " "); got != "NIX_REMOTE=daemon NIX_DAEMON_SOCKET_PATH=/s" {
		t.Errorf("for the daemon: %q", got)
	}
}

func TestRootIsNoEvaluator(t *testing.T) {
	if _, err := LookupUser("root"); err == nil {
		t.Error("root is a user that may evaluate")
	}
	if _, err := LookupUser("no-such-account"); err == nil {
		t.Error("there is such an account")
	}
	if _, err := LookupUser("nobody"); err == nil || !strings.Contains(err.Error(), "home") {
		t.Errorf("nobody, who has no home, may evaluate: %v", err)
	}
	if _, err := LookupUser("daemon"); err == nil || !strings.Contains(err.Error(), "a directory of its own") { // it is /usr/sbin
		t.Errorf("daemon, whose home is root's, may evaluate: %v", err)
	}
}

// TestWhoGreetsWronglyIsSentNoTree: it might take the bytes for requests.
func TestWhoGreetsWronglyIsSentNoTree(t *testing.T) {
	var sent bytes.Buffer
	daemon := daemonConn{newWire(&sent, strings.NewReader(strings.Repeat("x", 64)))}
	daemon.greet()
	greeting := sent.Len()
	opened := false
	path := daemon.addSource(&File{Open: func() (io.ReadCloser, int64, error) {
		opened = true
		return io.NopCloser(strings.NewReader("x")), 1, nil
	}})
	if daemon.flush(); !errors.Is(daemon.err, errGarbled) || !path.IsZero() || opened || sent.Len() != greeting {
		t.Errorf("got %s, %v; the file was opened: %t; %d bytes were sent after the greeting", path, daemon.err, opened, sent.Len()-greeting)
	}
}

// TestADaemonThatSaysNothingIsNotWaitedForForEver, once it has taken a tree.
func TestADaemonThatSaysNothingIsNotWaitedForForEver(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var daemon sync.WaitGroup
	daemon.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		c := newWire(conn, conn)
		c.writeNumbers(daemonWelcome, daemonVersion, daemonSaysDone)
		c.flush()
		for range 5 { // the greeting, and what it is asked for
			c.readNumber()
		}
		cancel(late)
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("it is waited for")
		}
	})
	_, err = (&CLI{Socket: socket}).AddSource(ctx, filepath.Join(t.TempDir(), "root"), Text("x"))
	if !errors.Is(err, late) || !strings.Contains(err.Error(), "add a source to the store") {
		t.Errorf("got error %v, want %v, and what was done", err, late)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	daemon.Wait()
}
