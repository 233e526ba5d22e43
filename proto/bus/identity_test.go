package bus

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nkeys"
)

func TestCredentialsHoldWhatWasPutIn(t *testing.T) {
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	b, err := FormatCredentials("a.b.c", id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.creds")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readCredentials(file)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := got.pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if got.jwt != "a.b.c" || got.publicKey != id.PublicKey || !bytes.Equal(seed, id.Seed) {
		t.Errorf("got %q, %q, want a.b.c, %q", got.jwt, got.publicKey, id.PublicKey)
	}
}

func TestIdentitiesDiffer(t *testing.T) {
	one, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if one.PublicKey == two.PublicKey {
		t.Error("two identities are the same")
	}
}

func TestFormatCredentialsRefusesWhatIsNoUsersSeed(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for what, seed := range map[string][]byte{"nothing": nil, "nonsense": []byte("SUAB"), "an account's": seed} {
		if _, err := FormatCredentials("a.b.c", seed); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}
