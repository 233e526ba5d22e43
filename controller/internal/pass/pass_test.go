package pass

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	o := open(t, file)
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	web1, err := proto.ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	token := o.Issue(web1, now).Reveal()
	if got, issued, err := open(t, file).Check(token, now.Add(Lifetime-time.Second)); err != nil || got != web1 || !issued.Equal(now) {
		t.Errorf("after a restart: %v, %v, %v; want %s", got, issued, err, web1)
	}
	for name, tt := range map[string]struct {
		token string
		at    time.Time
	}{
		"too late":           {token, now.Add(Lifetime)},
		"for another host":   {strings.Replace(token, "web1", "web2", 1), now},
		"for longer":         {strings.Replace(token, ".1", ".2", 1), now},
		"another code":       {token[:len(token)-1], now},
		"nothing":            {"", now},
		"a name alone":       {"web1", now},
		"another controller": {open(t, filepath.Join(t.TempDir(), "key")).Issue(web1, now).Reveal(), now},
	} {
		if host, _, err := o.Check(tt.token, tt.at); !errors.Is(err, ErrInvalid) || tt.token != "" && strings.Contains(err.Error(), tt.token) {
			t.Errorf("%s: Check = %v, %v; want %v", name, host, err, ErrInvalid)
		}
	}
	if stat, err := os.Stat(file); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v; want 600", stat.Mode(), err)
	}
}

func TestADamagedKeyIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), "5 bytes, want 32") {
		t.Errorf("error = %v", err)
	}
}

func open(t *testing.T, file string) *Office {
	t.Helper()
	o, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAKeyThatOthersMayReadIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	open(t, file)
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), file+" may be read by others") {
		t.Errorf("error = %v", err)
	}
}

// A token that was changed is none.
func FuzzCheck(f *testing.F) {
	o, err := Open(filepath.Join(f.TempDir(), "key"))
	if err != nil {
		f.Fatal(err)
	}
	web1, err := proto.ParseHostName("web1")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	good := o.Issue(web1, now).Reveal()
	for _, s := range []string{good, strings.Replace(good, "web1", "web2", 1), "web1..", ".", "web1.99999999999999999999." + good} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, _, err := o.Check(s, now)
		if ours := s == good; ours != (err == nil) || ours != (host == web1) || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v", s, host, err)
		}
	})
}
