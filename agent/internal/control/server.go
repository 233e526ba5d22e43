package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Limits of the server.
const (
	maxRequest     = 64 << 10         // bytes of a body
	maxHeader      = 8 << 10          // bytes of all headers
	requestTimeout = 10 * time.Second // to send a whole request
	restTimeout    = 30 * time.Second // how long one request may wait for the agent to rest
	answerTimeout  = 2 * time.Minute  // for everything; a transaction may take a while to be started
)

// ErrServed says that another agent is alive and has the sockets.
var ErrServed = errors.New("another agent serves it")

// Options is what a server needs.
type Options struct {
	Dir   string       // required: the runtime directory
	Agent Agent        // required
	Log   *slog.Logger // required
	// StatusGroup may use the status socket. Empty, or a group that there is not,
	// leaves it to root.
	StatusGroup string
}

// A Server serves both sockets.
type Server struct {
	servers []*http.Server
	serving sync.WaitGroup
}

// Serve serves the sockets until Close. It fails with [ErrServed] if another
// agent does; what a dead one left is replaced. ctx is only for the log.
func Serve(ctx context.Context, o Options) (*Server, error) {
	s := &Server{}
	group, err := lookupGroup(o.StatusGroup)
	if err != nil {
		o.Log.ErrorContext(ctx, "status is for root only: correct control.status_group", "err", err)
	}
	for _, socket := range []struct {
		name    string
		perm    os.FileMode
		group   int
		handler http.Handler
	}{
		{ControlSocket, 0o600, -1, handler(o, true)},
		{StatusSocket, statusPerm(group), group, handler(o, false)},
	} {
		l, err := listen(filepath.Join(o.Dir, socket.name), socket.perm, socket.group)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("serve the control socket: %w", err)
		}
		server := &http.Server{
			Handler:        http.MaxBytesHandler(socket.handler, maxRequest),
			ReadTimeout:    requestTimeout,
			WriteTimeout:   answerTimeout,
			IdleTimeout:    requestTimeout,
			MaxHeaderBytes: maxHeader,
			ErrorLog:       slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		}
		s.servers = append(s.servers, server)
		s.serving.Go(func() {
			_ = server.Serve(l) // returns when Close closes l; requests fail visibly if it returns earlier
		})
	}
	return s, nil
}

// Close ends the serving and what is being asked, removes the sockets, and waits
// for the end.
func (s *Server) Close() {
	for _, server := range s.servers {
		_ = server.Close() // who asked sees that there is no answer
	}
	s.serving.Wait()
}

// listen makes a socket with these permissions, in the place of a dead one.
func listen(path string, perm os.FileMode, group int) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, requestTimeout); err == nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrServed), conn.Close())
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace the socket of a dead agent: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err // names operation and path already
	}
	if group >= 0 {
		err = os.Chown(path, -1, group)
	}
	if err := errors.Join(err, os.Chmod(path, perm)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// statusPerm are the permissions of the status socket, for group if there is one.
func statusPerm(group int) os.FileMode {
	if group < 0 {
		return 0o600
	}
	return 0o660
}

// lookupGroup returns the number of the group called name, -1 for none.
func lookupGroup(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, err // names the group already
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1, fmt.Errorf("group %s: %w", name, err)
	}
	return id, nil
}
