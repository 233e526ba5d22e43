package natsd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"kedge/proto/outbound"
)

const (
	claimsUpdate = "$SYS.REQ.CLAIMS.UPDATE"
	pushTimeout  = 10 * time.Second
)

// ErrPending says that a server does not know yet who is revoked, and has to be told
// by whoever runs it.
var ErrPending = errors.New("the NATS server did not take the accounts: whoever runs it has to load what kedge nats config prints")

// RemoteOptions say which server it is, and by what right it is told something.
type RemoteOptions struct {
	StateDir string // required; the keys are below it, and are made if there are none
	URL      string // required; Outbound leads there
	Outbound outbound.Options
	// Check is asked before anything is pushed: an error says that this is another
	// controller's matter now. Nil stands for never.
	Check func() error
	Log   *slog.Logger // required
}

// A Remote is a NATS server or cluster of somebody else's, with the accounts that
// these keys make: see [Keys.Config].
type Remote struct {
	*Keys
	o RemoteOptions

	mu     sync.Mutex        // guards what follows, and is held while something is pushed
	tokens map[string]string // what servers are to take, by the name of the account
	wanted string            // whom that refuses
	last   string            // whom what was taken last refuses
}

// OpenRemote returns the server that o is about.
func OpenRemote(o RemoteOptions) (*Remote, error) {
	keys, err := OpenKeys(o.StateDir)
	if err != nil {
		return nil, err
	}
	if o.Check == nil {
		o.Check = func() error { return nil }
	}
	return &Remote{Keys: keys, o: o, tokens: map[string]string{}}, nil
}

// Revoke has the server refuse those in r, and only those, if its resolver takes
// accounts from who has the system account, and trusts our operator. Else the error
// wraps [ErrPending]. What it took already is not pushed here; see [Remote.Run].
func (r *Remote) Revoke(ctx context.Context, revoked Revoked) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := revoked.text()
	if now == r.last || r.last == "" && now == "|" {
		return nil
	}
	// The others stay as they are: an answer that is on its way through one that is
	// loaded anew is lost.
	return r.tell(ctx, revoked, accountHosts, accountOperators)
}

// Sync has the server take every account as this version wants it; for a start.
// Errors are those of Revoke.
func (r *Remote) Sync(ctx context.Context, revoked Revoked) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tell(ctx, revoked, remoteAccounts()...)
}

// remoteAccounts names the accounts that are pushed: SYS is the server's own matter.
func remoteAccounts() []string { return []string{accountControl, accountHosts, accountOperators} }

// tell makes these accounts anew, pushes them, and notes who is revoked with that. The
// caller holds the mutex.
func (r *Remote) tell(ctx context.Context, revoked Revoked, names ...string) error {
	err := r.encode(revoked, names)
	if err == nil {
		err = r.push(ctx, names)
	}
	if err != nil {
		r.o.Log.WarnContext(ctx, "accounts were not pushed", "err", err)
		return fmt.Errorf("%w (%w)", ErrPending, err)
	}
	r.last = r.wanted
	return nil
}

// encode makes these accounts anew. The caller holds the mutex.
func (r *Remote) encode(revoked Revoked, names []string) error {
	accounts, err := r.accounts(revoked)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if !slices.Contains(names, a.claims.Name) {
			continue
		}
		if r.tokens[a.claims.Name], err = a.claims.Encode(r.operator); err != nil {
			return fmt.Errorf("account %s: %w", a.claims.Name, err)
		}
	}
	r.wanted = revoked.text()
	return nil
}

// push pushes the accounts with these names.
func (r *Remote) push(ctx context.Context, names []string) error {
	nc, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	return r.pushAll(ctx, nc, names)
}

// A dialFunc is a [nats.CustomDialer].
type dialFunc func(network, address string) (net.Conn, error)

// Dial implements [nats.CustomDialer].
func (f dialFunc) Dial(network, address string) (net.Conn, error) { return f(network, address) }

// connect connects to the system account, once: nothing is sent later than it was to be.
// No server is tried after ctx has ended.
func (r *Remote) connect(ctx context.Context, more ...nats.Option) (*nats.Conn, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	defer user.Wipe()
	token, err := r.systemJWT(user)
	if err != nil {
		return nil, err
	}
	trust, err := r.o.Outbound.TLS()
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: pushTimeout}
	nc, err := nats.Connect(r.o.URL, append(more, nats.Name("kedge-controller"), nats.NoReconnect(), nats.Timeout(pushTimeout),
		nats.SetCustomDialer(dialFunc(func(network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		})),
		nats.UserJWT(func() (string, error) { return token, nil }, user.Sign),
		func(o *nats.Options) error {
			o.TLSConfig, o.Secure = trust, r.o.Outbound.Trusts()
			return nil
		})...)
	if err != nil {
		return nil, fmt.Errorf("connect to the system account: %w", err)
	}
	return nc, nil
}

// pushAll has the server keep the accounts with these names, as far as there are tokens
// of them, while they are this controller's matter. The caller holds the mutex.
func (r *Remote) pushAll(ctx context.Context, nc *nats.Conn, names []string) error {
	for _, name := range names {
		if r.tokens[name] == "" {
			continue
		}
		err := r.o.Check()
		if err == nil {
			err = push(ctx, nc, r.tokens[name])
		}
		if err != nil {
			return fmt.Errorf("account %s: %w", name, err)
		}
	}
	return nil
}

// push has the server keep an account.
func push(ctx context.Context, nc *nats.Conn, account string) error {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, claimsUpdate, []byte(account))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			Code int `json:"code"`
		} `json:"data"`
		Error struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	if answer.Data.Code != http.StatusOK {
		return fmt.Errorf("not taken: %s", answer.Error.Description)
	}
	return nil
}

// systemJWT returns what makes user a user of SYS, for a while.
func (k *Keys) systemJWT(user nkeys.KeyPair) (string, error) {
	public, err := user.PublicKey()
	if err != nil {
		return "", err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = "kedge-controller"
	claims.Expires = time.Now().Add(time.Hour).Unix()
	return claims.Encode(k.system)
}
