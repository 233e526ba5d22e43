package bus

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"
)

// An Identity is a NATS user key. Who made it keeps the seed; the public key is
// what others issue credentials for.
type Identity struct {
	Seed      []byte // "SU…", secret
	PublicKey string // "U…"
}

// NewIdentity makes an identity with fresh randomness.
func NewIdentity() (Identity, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return Identity{}, fmt.Errorf("make user key: %w", err)
	}
	seed, err := pair.Seed()
	if err != nil {
		return Identity{}, fmt.Errorf("seed of user key: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return Identity{}, fmt.Errorf("public half of user key: %w", err)
	}
	return Identity{Seed: seed, PublicKey: public}, nil
}

// FormatCredentials returns the content of the .creds file that joins jwt, which
// was issued for a user key, with that key's seed. The file must be readable by
// its owner only.
func FormatCredentials(jwt string, seed []byte) ([]byte, error) {
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("seed of credentials: %w", err)
	}
	defer pair.Wipe()
	if public, err := pair.PublicKey(); err != nil || !nkeys.IsValidPublicUserKey(public) {
		return nil, fmt.Errorf("seed of credentials: not a user's")
	}
	return fmt.Appendf(nil, credentialsFormat, jwt, seed), nil
}

const credentialsFormat = `-----BEGIN NATS USER JWT-----
%s
------END NATS USER JWT------

************************* IMPORTANT *************************
The key below is secret: whoever has it can act as this user.

-----BEGIN USER NKEY SEED-----
%s
------END USER NKEY SEED------

*************************************************************
`

// credentials are the content of a .creds file.
type credentials struct {
	jwt       string
	publicKey string
	pair      nkeys.KeyPair
}

// readCredentials reads the .creds file at path.
func readCredentials(path string) (credentials, error) {
	jwt, pair, err := readCreds(path)
	if err != nil {
		return credentials{}, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return credentials{}, fmt.Errorf("credentials %s: %w", path, err)
	}
	return credentials{jwt: jwt, publicKey: public, pair: pair}, nil
}

// readCreds is readCredentials for who does without the public key, which takes
// longer to compute than all else.
func readCreds(path string) (jwt string, pair nkeys.KeyPair, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", nil, fmt.Errorf("read credentials: %w", err)
	}
	defer clear(b)
	if jwt, err = nkeys.ParseDecoratedJWT(b); err != nil {
		return "", nil, fmt.Errorf("credentials %s: %w", path, err)
	}
	if pair, err = nkeys.ParseDecoratedUserNKey(b); err != nil {
		return "", nil, fmt.Errorf("credentials %s: %w", path, err)
	}
	return jwt, pair, nil
}

// Sign signs b.
func (i Identity) Sign(b []byte) ([]byte, error) {
	pair, err := nkeys.FromSeed(i.Seed)
	if err != nil {
		return nil, fmt.Errorf("seed of user key: %w", err)
	}
	defer pair.Wipe()
	return pair.Sign(b)
}

// ReadIdentity returns the key in the .creds file at path.
func ReadIdentity(path string) (Identity, error) {
	c, err := readCredentials(path)
	if err != nil {
		return Identity{}, err
	}
	defer c.pair.Wipe()
	seed, err := c.pair.Seed()
	if err != nil {
		return Identity{}, fmt.Errorf("credentials %s: %w", path, err)
	}
	return Identity{Seed: bytes.Clone(seed), PublicKey: c.publicKey}, nil
}

// ParseIdentity returns the key that seed is of, which has to be a user's.
func ParseIdentity(seed []byte) (Identity, error) {
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return Identity{}, fmt.Errorf("seed of user key: %w", err)
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return Identity{}, errors.New("seed of user key: not a user's")
	}
	return Identity{Seed: bytes.Clone(seed), PublicKey: public}, nil
}
