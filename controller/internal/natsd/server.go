package natsd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"kedge/internal/durable"
)

// Options say what server to run.
type Options struct {
	// StateDir is the controller's state directory. Required.
	StateDir string
	// Listen is host:port; port 0 takes a free one. Empty is for no port: then
	// clients come by WebSocket.
	Listen string
	// Revoked are refused from the beginning; see [Server.Revoke].
	Revoked Revoked
	// TLS is what clients have to speak at Listen; nil for none.
	TLS *tls.Config
	// Log is required.
	Log *slog.Logger
}

const (
	storeDir   = "nats"
	serverName = "kedge"

	maxConnections = 131072
	maxPayload     = 8 << 20  // the fleet of an API reply, compressed
	maxPending     = 16 << 20 // per connection: 64 MiB, the default, times slow clients is all memory
	maxMemoryStore = 256 << 20
	maxDiskStore   = 1 << 40 // what streams may reserve: their limits are caps, and seldom reached
	writeDeadline  = 10 * time.Second
	pingInterval   = time.Minute
	authTimeout    = 15 // seconds: short ones make a storm of reconnections feed itself
	tlsTimeout     = 10 // seconds, as long

	webSocketTimeout = 10 * time.Second

	// A controller that restarts is back within seconds, so clients are sent
	// away quickly.
	lameDuck      = 2 * time.Second
	lameDuckGrace = 50 * time.Millisecond

	readyPoll = 100 * time.Millisecond
)

// A Server is a NATS server in this process.
type Server struct {
	*Keys

	server    *server.Server
	resolver  *server.MemAccResolver
	storeDir  string
	controlID string // of the account with JetStream
	sound     bool   // it was healthy when it had started
	tls       bool

	mu   sync.Mutex
	told Revoked // who is refused, guarded by mu
}

// Start runs a server and returns when it takes connections.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.StateDir == "" || o.Log == nil {
		return nil, errors.New("start NATS server: state directory and log are required")
	}
	keys, err := OpenKeys(o.StateDir)
	if err != nil {
		return nil, err
	}
	s := &Server{Keys: keys, resolver: &server.MemAccResolver{}, storeDir: filepath.Join(o.StateDir, storeDir), tls: o.TLS != nil}
	options, err := s.options(o)
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	s.server, err = server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("start NATS server: %w", err)
	}
	log := &logger{log: o.Log}
	s.server.SetLoggerV2(log, false, false, false)
	s.server.Start()
	for !s.server.ReadyForConnections(readyPoll) {
		if err := errors.Join(log.fatal(), ctx.Err()); err != nil {
			s.Shutdown()
			return nil, fmt.Errorf("start NATS server on %s: %w", o.Listen, err)
		}
	}
	s.sound = s.Healthy() == nil
	return s, nil
}

// options returns the server's options.
func (s *Server) options(o Options) (*server.Options, error) {
	host, port, err := "127.0.0.1", server.RANDOM_PORT, error(nil)
	if o.Listen != "" {
		host, port, err = address(o.Listen)
	}
	if err != nil {
		return nil, err
	}
	if err := durable.MkdirAll(s.storeDir, secretDirPerm); err != nil {
		return nil, err
	}
	s.told = o.Revoked
	accounts, err := s.accounts(o.Revoked)
	if err != nil {
		return nil, err
	}
	if err := s.store(accounts); err != nil {
		return nil, err
	}
	operator, err := s.operatorClaims()
	if err != nil {
		return nil, err
	}
	if s.controlID, err = s.control.PublicKey(); err != nil {
		return nil, err
	}
	options := &server.Options{
		ServerName:             serverName,
		Host:                   host,
		Port:                   port,
		NoSigs:                 true,
		MaxConn:                maxConnections,
		MaxPayload:             maxPayload,
		MaxPending:             maxPending,
		WriteDeadline:          writeDeadline,
		PingInterval:           pingInterval,
		AuthTimeout:            authTimeout,
		LameDuckDuration:       lameDuck,
		LameDuckGracePeriod:    lameDuckGrace,
		TrustedOperators:       []*jwt.OperatorClaims{operator},
		SystemAccount:          accounts[0].claims.Subject, // without it the server panics
		AccountResolver:        s.resolver,
		JetStream:              true,
		StoreDir:               s.storeDir,
		JetStreamMaxMemory:     maxMemoryStore,
		JetStreamMaxStore:      maxDiskStore,
		SyncAlways:             true, // what was acknowledged is on the disk
		DisableJetStreamBanner: true,
		DontListen:             o.Listen == "",
		Websocket: server.WebsocketOpts{
			Host:             "127.0.0.1", // behind our own HTTP server, which speaks TLS
			Port:             server.RANDOM_PORT,
			NoTLS:            true,
			HandshakeTimeout: webSocketTimeout,
			AuthTimeout:      authTimeout,
		},
	}
	if o.TLS != nil {
		options.TLSConfig, options.TLS, options.TLSTimeout = o.TLS, true, tlsTimeout
	}
	return options, nil
}

// store puts accounts, signed by the operator, where the server looks for them.
func (s *Server) store(accounts []account) error {
	for _, a := range accounts {
		token, err := a.claims.Encode(s.operator)
		if err != nil {
			return fmt.Errorf("account %s: %w", a.claims.Name, err)
		}
		if err := s.resolver.Store(a.claims.Subject, token); err != nil {
			return fmt.Errorf("account %s: %w", a.claims.Name, err)
		}
	}
	return nil
}

// operatorClaims returns the statement that the server trusts.
func (s *Server) operatorClaims() (*jwt.OperatorClaims, error) {
	token, err := s.operatorToken()
	if err != nil {
		return nil, err
	}
	return jwt.DecodeOperatorClaims(token)
}

// ClientURL returns where programs on this machine connect to; by WebSocket if
// there is no other port.
func (s *Server) ClientURL() string {
	a, ok := s.server.Addr().(*net.TCPAddr)
	if !ok { // none, or shutting down
		return "ws://" + s.WebSocketAddress()
	}
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "nats://"
	if s.tls {
		scheme = "tls://"
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(a.Port))
}

// WebSocketAddress returns where this machine alone reaches the server by
// WebSocket, without TLS, as host:port.
func (s *Server) WebSocketAddress() string {
	return strings.TrimPrefix(s.server.WebsocketURL(), "ws://")
}

// ClientAddress returns the address and port from which the client with an id is
// connected; empty if it is not, or not by a network.
func (s *Server) ClientAddress(id uint64) string {
	z, err := s.server.Connz(&server.ConnzOptions{CID: id})
	if err != nil || len(z.Conns) == 0 {
		return ""
	}
	return net.JoinHostPort(z.Conns[0].IP, strconv.Itoa(z.Conns[0].Port))
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.server.InProcessConn() }

// Shutdown sends the clients away, within about two seconds, and stops the
// server.
func (s *Server) Shutdown() {
	s.server.LameDuckShutdown()
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// address splits what to listen on for the server, to whom a random port is -1.
func address(listen string) (string, int, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: %w", listen, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: port must be a number up to 65535", listen)
	}
	if port == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(port), nil
}
