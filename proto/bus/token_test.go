package bus

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// unsigned returns a user JWT that nobody signed.
func unsigned(key string, issued, expires int64) string {
	body := fmt.Sprintf(`{"sub":%q,"name":"web1","iat":%d,"exp":%d}`, key, issued, expires)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(body)) + ".c2ln"
}

func TestTheTokenThatIsValidForLongerCounts(t *testing.T) {
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		expires int64
		renewed string
		want    int64
	}{
		{"nothing renewed", 200, "", 200},
		{"renewed", 200, unsigned(id.PublicKey, 100, 300), 300},
		{"the file was replaced since", 400, unsigned(id.PublicKey, 100, 300), 400},
		{"another key's", 200, unsigned(other.PublicKey, 100, 300), 200},
		{"torn", 200, unsigned(id.PublicKey, 100, 300)[:40], 200},
		{"renewed for ever", 200, unsigned(id.PublicKey, 100, 0), 0},
		{"for ever at first", 0, unsigned(id.PublicKey, 100, 300), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Credentials: filepath.Join(dir, "host.creds"), Renewed: filepath.Join(dir, "renewed.jwt")}
			b, err := FormatCredentials(unsigned(id.PublicKey, 100, c.expires), id.Seed)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(o.Credentials, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if c.renewed != "" {
				if err := os.WriteFile(o.Renewed, []byte(c.renewed+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := ReadToken(o.Credentials, o.Renewed)
			want := time.Time{}
			if c.want != 0 {
				want = time.Unix(c.want, 0).UTC()
			}
			if err != nil || got.Expires != want || got.PublicKey != id.PublicKey || got.Name != "web1" {
				t.Errorf("got %+v, %v, want one that expires %s", got, err, want)
			}
			used, err := o.credentials()
			if err != nil || used.jwt != got.JWT {
				t.Errorf("a connection uses %q, %v, want %q", used.jwt, err, got.JWT)
			}
		})
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(unsigned("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", 100, 300))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseToken(s)
		if err == nil && (got.JWT != s || got.PublicKey == "") {
			t.Errorf("parse %q: got %+v", s, got)
		}
	})
}

func BenchmarkReadToken(b *testing.B) {
	id, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	text, err := FormatCredentials(unsigned(id.PublicKey, 100, 200), id.Seed)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "host.creds")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadToken(path, ""); err != nil {
			b.Fatal(err)
		}
	}
}
