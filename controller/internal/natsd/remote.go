package natsd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
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

// A Remote is a NATS server or cluster of somebody else's, with the accounts that
// these keys make: see [Keys.Config].
type Remote struct {
	*Keys
	url string
	out outbound.Options
	log *slog.Logger

	mu   sync.Mutex
	last string // what was pushed last, guarded by mu
}

// OpenRemote returns the server at url, to which out leads, with the keys below
// stateDir, which are made if there are none.
func OpenRemote(stateDir, url string, out outbound.Options, log *slog.Logger) (*Remote, error) {
	keys, err := OpenKeys(stateDir)
	if err != nil {
		return nil, err
	}
	return &Remote{Keys: keys, url: url, out: out, log: log}, nil
}

// Revoke has the server refuse those in r, and only those, if its resolver takes
// accounts from who has the system account, and trusts our operator. Else the error
// wraps [ErrPending]. What it took already is not pushed again.
func (r *Remote) Revoke(ctx context.Context, revoked Revoked) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := strings.Join(revoked.Hosts, " ") + "|" + strings.Join(revoked.Operators, " ")
	if now == r.last || r.last == "" && now == "|" {
		return nil
	}
	// The others stay as they are: an answer that is on its way through one that is
	// loaded anew is lost.
	return r.tell(ctx, revoked, now, accountHosts, accountOperators)
}

// Sync has the server take every account as this version wants it; for a start.
// Errors are those of Revoke.
func (r *Remote) Sync(ctx context.Context, revoked Revoked) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := strings.Join(revoked.Hosts, " ") + "|" + strings.Join(revoked.Operators, " ")
	return r.tell(ctx, revoked, now, accountControl, accountHosts, accountOperators)
}

// tell pushes accounts, and notes who is revoked with that. The caller holds the mutex.
func (r *Remote) tell(ctx context.Context, revoked Revoked, now string, accounts ...string) error {
	if err := r.push(ctx, revoked, accounts); err != nil {
		r.log.WarnContext(ctx, "accounts were not pushed", "err", err)
		return fmt.Errorf("%w (%w)", ErrPending, err)
	}
	r.last = now
	return nil
}

// push pushes the accounts with these names.
func (r *Remote) push(ctx context.Context, revoked Revoked, names []string) error {
	accounts, err := r.accounts(revoked)
	if err != nil {
		return err
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	defer user.Wipe()
	token, err := r.systemJWT(user)
	if err != nil {
		return err
	}
	trust, err := r.out.TLS()
	if err != nil {
		return err
	}
	nc, err := nats.Connect(r.url, nats.Name("kedge-controller"), nats.Timeout(pushTimeout),
		nats.UserJWT(func() (string, error) { return token, nil }, user.Sign),
		func(o *nats.Options) error {
			o.TLSConfig, o.Secure = trust, r.out.Trusts()
			return nil
		})
	if err != nil {
		return fmt.Errorf("connect to the system account: %w", err)
	}
	defer nc.Close()
	for _, a := range accounts {
		if !slices.Contains(names, a.claims.Name) {
			continue
		}
		token, err := a.claims.Encode(r.operator)
		if err != nil {
			return err
		}
		if err := push(ctx, nc, token); err != nil {
			return fmt.Errorf("account %s: %w", a.claims.Name, err)
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
