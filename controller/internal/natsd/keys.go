package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"

	"kedge/internal/durable"
	"kedge/proto"
	"kedge/proto/bus"
)

// Keys are the private keys behind a NATS server. They do not change, so all
// methods are safe for concurrent use.
type Keys struct {
	dir string

	operator  nkeys.KeyPair
	system    nkeys.KeyPair // account SYS
	control   nkeys.KeyPair // account CTRL
	hosts     nkeys.KeyPair // account HOSTS
	operators nkeys.KeyPair // account OPS

	host  nkeys.KeyPair                // signs hosts, in HOSTS
	roles map[proto.Role]nkeys.KeyPair // sign operators, in OPS

	controller bus.Identity // a user in CTRL
}

const (
	keysDir         = "keys"
	keysFile        = "nats.json"
	credentialsFile = "controller.creds"
	secretDirPerm   = 0o700
	secretPerm      = 0o600
	keysFormat      = 1
)

// seeds are what keysFile holds. A version that knows more kinds of keys finds
// the new ones empty and makes them.
type seeds struct {
	Operator   string                `json:"operator"`
	System     string                `json:"system_account"`
	Control    string                `json:"control_account"`
	Hosts      string                `json:"hosts_account"`
	Operators  string                `json:"operators_account"`
	Host       string                `json:"host_signer"`
	Roles      map[proto.Role]string `json:"role_signers"`
	Controller string                `json:"controller_user"`
}

// OpenKeys returns the keys below stateDir, which are made if there are none.
// The credentials of the controller are written anew.
func OpenKeys(stateDir string) (*Keys, error) {
	dir := filepath.Join(stateDir, keysDir)
	if err := durable.MkdirAll(dir, secretDirPerm); err != nil {
		return nil, fmt.Errorf("keys of NATS: %w", err)
	}
	if err := os.Chmod(dir, secretDirPerm); err != nil {
		return nil, fmt.Errorf("keys of NATS: %w", err)
	}
	k := &Keys{dir: dir}
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("keys of NATS: %w", err)
	}
	if err := k.writeControllerCredentials(); err != nil {
		return nil, fmt.Errorf("controller's credentials: %w", err)
	}
	return k, nil
}

// load reads the keys, after making those that are missing.
func (k *Keys) load() error {
	document := durable.Document[seeds]{Path: filepath.Join(k.dir, keysFile), Format: keysFormat, Perm: secretPerm}
	s, err := document.Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.Roles == nil {
		s.Roles = make(map[proto.Role]string)
	}
	k.roles = make(map[proto.Role]nkeys.KeyPair)
	f := filler{}
	k.operator = f.fill(&s.Operator, nkeys.PrefixByteOperator)
	k.system = f.fill(&s.System, nkeys.PrefixByteAccount)
	k.control = f.fill(&s.Control, nkeys.PrefixByteAccount)
	k.hosts = f.fill(&s.Hosts, nkeys.PrefixByteAccount)
	k.operators = f.fill(&s.Operators, nkeys.PrefixByteAccount)
	k.host = f.fill(&s.Host, nkeys.PrefixByteAccount)
	for _, r := range roles() {
		seed := s.Roles[r]
		k.roles[r] = f.fill(&seed, nkeys.PrefixByteAccount)
		s.Roles[r] = seed
	}
	controller := f.fill(&s.Controller, nkeys.PrefixByteUser)
	if f.err != nil {
		return f.err
	}
	k.controller = bus.Identity{Seed: []byte(s.Controller)}
	if k.controller.PublicKey, err = controller.PublicKey(); err != nil {
		return err
	}
	if !f.made {
		return nil
	}
	return document.Write(s)
}

// A filler turns seeds into keys and makes those that are empty. After an error
// it does nothing more.
type filler struct {
	made bool
	err  error
}

// fill returns the key of *seed, which is set if it is empty.
func (f *filler) fill(seed *string, kind nkeys.PrefixByte) nkeys.KeyPair {
	if f.err != nil {
		return nil
	}
	var pair nkeys.KeyPair
	if *seed == "" {
		pair, f.err = nkeys.CreatePair(kind)
		if f.err != nil {
			return nil
		}
		var b []byte
		b, f.err = pair.Seed()
		*seed, f.made = string(b), true
		return pair
	}
	pair, f.err = nkeys.FromSeed([]byte(*seed))
	return pair
}

// roles returns every role of an operator.
func roles() []proto.Role {
	return []proto.Role{proto.RoleViewer, proto.RoleOperator, proto.RoleAdmin}
}

// ControllerCredentials returns the path of the controller's .creds file.
func (k *Keys) ControllerCredentials() string { return filepath.Join(k.dir, credentialsFile) }

// writeControllerCredentials writes the controller's .creds file.
func (k *Keys) writeControllerCredentials() error {
	jwt, err := k.controllerJWT()
	if err != nil {
		return err
	}
	b, err := bus.FormatCredentials(jwt, k.controller.Seed)
	if err != nil {
		return err
	}
	return durable.WriteFile(k.ControllerCredentials(), b, secretPerm)
}
