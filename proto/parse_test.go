package proto_test

import (
	"encoding"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"kedge/proto"
)

// A parseCase is a text and the error that parsing it must wrap; nil means
// that the text is accepted, and is what the value prints as.
type parseCase struct {
	name string
	text string
	err  error
}

// testParse checks parse against its cases, and that decoding JSON is parsing.
func testParse[T interface {
	comparable
	encoding.TextMarshaler
	String() string
}](t *testing.T, parse func(string) (T, error), cases []parseCase,
) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.text)
			if !errors.Is(err, c.err) {
				t.Fatalf("parse %q: got error %v, want %v", c.text, err, c.err)
			}
			var decoded T
			b, merr := json.Marshal(c.text)
			if merr != nil {
				t.Fatal(merr)
			}
			derr := json.Unmarshal(b, &decoded)
			if c.err != nil {
				var zero T
				if got != zero {
					t.Errorf("parse %q: got %v beside the error %v", c.text, got, err)
				}
				if c.text != "" && !errors.Is(derr, c.err) {
					t.Errorf("decode %s: got error %v, want %v", b, derr, c.err)
				}
				return
			}
			if derr != nil || decoded != got {
				t.Errorf("decode %s: got %v, %v, want %v", b, decoded, derr, got)
			}
			if got.String() != c.text {
				t.Errorf("parse %q: prints as %q", c.text, got)
			}
		})
	}
}

func TestParseHostName(t *testing.T) {
	bad := proto.ErrInvalidHostName
	testParse(t, proto.ParseHostName, []parseCase{
		{"accepts letters and digits", "web1", nil},
		{"accepts one letter", "a", nil},
		{"accepts a digit in front", "1web", nil},
		{"accepts hyphens inside", "web--1", nil},
		{"accepts 63 characters", strings.Repeat("a", 63), nil},
		{"rejects 64 characters", strings.Repeat("a", 64), bad},
		{"rejects nothing", "", bad},
		{"rejects a hyphen in front", "-web", bad},
		{"rejects a hyphen at the end", "web-", bad},
		{"rejects upper case", "Web1", bad},
		{"rejects two labels", "web1.example", bad},
		{"rejects a subject wildcard", "*", bad},
		{"rejects a subject wildcard for the rest", ">", bad},
		{"rejects a space", "web 1", bad},
		{"rejects a slash", "web/1", bad},
		{"rejects a parent directory", "..", bad},
		{"rejects a line end", "web1\n", bad},
		{"rejects a NUL", "web\x00", bad},
		{"rejects letters beyond ASCII", "wéb", bad},
		{"rejects an underscore", "web_1", bad},
	})
}

func TestParseStorePath(t *testing.T) {
	bad := proto.ErrInvalidStorePath
	const hash = "s73vq4czw0wshq3dvvfg483ppwrgxrmm"
	testParse(t, proto.ParseStorePath, []parseCase{
		{"accepts a toplevel", toplevelText, nil},
		{"accepts every character that Nix allows", "/nix/store/" + hash + "-aZ09+-._?=", nil},
		{"accepts a hidden file, as Nix does since 2.20", "/nix/store/" + hash + "-.zshrc", nil},
		{"accepts a name that begins with two dots and goes on", "/nix/store/" + hash + "-..b", nil},
		{"accepts a name of 211 characters", "/nix/store/" + hash + "-" + strings.Repeat("a", 211), nil},
		{"rejects a name of 212 characters", "/nix/store/" + hash + "-" + strings.Repeat("a", 212), bad},
		{"rejects a dot for a name", "/nix/store/" + hash + "-.", bad},
		{"rejects two dots for a name", "/nix/store/" + hash + "-..", bad},
		{"rejects a dot before the first dash", "/nix/store/" + hash + "-.-a", bad},
		{"rejects two dots before the first dash", "/nix/store/" + hash + "-..-a", bad},
		{"rejects nothing", "", bad},
		{"rejects the store itself", "/nix/store", bad},
		{"rejects the store itself with a slash", "/nix/store/", bad},
		{"rejects a path below a store object", toplevelText + "/bin/switch-to-configuration", bad},
		{"rejects a slash at the end", toplevelText + "/", bad},
		{"rejects a way out of the store", "/nix/store/../../etc/shadow", bad},
		{"rejects another store", "/gnu/store/" + hash + "-web1", bad},
		{"rejects a relative path", hash + "-web1", bad},
		{"rejects a missing name", "/nix/store/" + hash + "-", bad},
		{"rejects a hash without a name", "/nix/store/" + hash, bad},
		{"rejects a hash that is too short", "/nix/store/" + hash[1:] + "-web1", bad},
		{"rejects a hash that is too long", "/nix/store/0" + hash + "-web1", bad},
		{"rejects a letter that Nix base 32 leaves out", "/nix/store/e" + hash[1:] + "-web1", bad},
		{"rejects upper case in the hash", "/nix/store/S" + hash[1:] + "-web1", bad},
		{"rejects a space in the name", "/nix/store/" + hash + "-web 1", bad},
		{"rejects a line end", toplevelText + "\n", bad},
		{"rejects a flag", "--option", bad},
	})
}

func TestParseRevision(t *testing.T) {
	bad := proto.ErrInvalidRevision
	testParse(t, proto.ParseRevision, []parseCase{
		{"accepts SHA-1", revisionText, nil},
		{"accepts SHA-256", strings.Repeat("0f", 32), nil},
		{"rejects nothing", "", bad},
		{"rejects an abbreviation", revisionText[:12], bad},
		{"rejects a branch", "main", bad},
		{"rejects a length between the two", strings.Repeat("0", 52), bad},
		{"rejects upper case", strings.ToUpper(revisionText), bad},
		{"rejects another letter", "g" + revisionText[1:], bad},
		{"rejects a flag", "--upload-pack=" + strings.Repeat("a", 26), bad},
	})
}

func TestParseDigest(t *testing.T) {
	bad := proto.ErrInvalidDigest
	of := proto.DigestOf([]byte("hello\n")).String()
	testParse(t, proto.ParseDigest, []parseCase{
		{"accepts what sha256sum prints for hello", "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", nil},
		{"accepts what DigestOf returns", of, nil},
		{"rejects nothing", "", bad},
		{"rejects another algorithm", "sha512:" + of[7:], bad},
		{"rejects a missing prefix", of[7:], bad},
		{"rejects upper case", "sha256:" + strings.ToUpper(of[7:]), bad},
		{"rejects a digit too few", of[:len(of)-1], bad},
		{"rejects what is not hexadecimal", of[:len(of)-1] + "x", bad},
	})
	if want := "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"; of != want {
		t.Errorf("digest of hello: got %s, want %s", of, want)
	}
}

// The zero value of what may be left out is encoded as "", and decoded again.
func TestEmptyTextIsTheZeroValueWhereOneMayBeMissing(t *testing.T) {
	type optional struct {
		Path     proto.StorePath
		Revision proto.Revision
		Digest   proto.Digest
	}
	b, err := json.Marshal(optional{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"Path":"","Revision":"","Digest":""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got := optional{Path: toplevel(t), Revision: parsed(t, proto.ParseRevision, revisionText), Digest: proto.DigestOf(nil)}
	if err := json.Unmarshal(b, &got); err != nil || got != (optional{}) {
		t.Errorf("decode %s: got %v, %v, want the zero value", b, got, err)
	}
}

func TestPartsOfAStorePath(t *testing.T) {
	p := toplevel(t)
	if got, want := p.Base(), "s73vq4czw0wshq3dvvfg483ppwrgxrmm-nixos-system-web1"; got != want {
		t.Errorf("base: got %s, want %s", got, want)
	}
	if got, want := p.Hash(), "s73vq4czw0wshq3dvvfg483ppwrgxrmm"; got != want {
		t.Errorf("hash: got %s, want %s", got, want)
	}
	var zero proto.StorePath
	if zero.Base() != "" || zero.Hash() != "" || !zero.IsZero() || p.IsZero() {
		t.Errorf("zero value: got base %q, hash %q", zero.Base(), zero.Hash())
	}
}

func TestOrderOfHostsAndPaths(t *testing.T) {
	if a, b := host(t, "db1"), host(t, "web1"); a.Compare(b) >= 0 || b.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Errorf("%s and %s are not ordered as strings are", a, b)
	}
	if a, b := parsed(t, proto.ParseStorePath, otherText), toplevel(t); a.Compare(b) >= 0 || b.Compare(a) <= 0 || a.Compare(a) != 0 {
		t.Errorf("%s and %s are not ordered as strings are", a, b)
	}
}

func TestHowNumbersAreWrittenInTables(t *testing.T) {
	if got := proto.Generation(0).String() + " " + proto.Generation(42).String(); got != "- 42" {
		t.Errorf("generations: got %q, want %q", got, "- 42")
	}
	if got := proto.Serial(0).String() + " " + proto.Serial(7).String(); got != "0 7" {
		t.Errorf("serials: got %q, want %q", got, "0 7")
	}
	if got := (proto.Revision{}).Short() + " " + parsed(t, proto.ParseRevision, revisionText).Short(); got != "- 0123456789" {
		t.Errorf("revisions: got %q, want %q", got, "- 0123456789")
	}
}

func TestValidateCacheURL(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://build:8080/cache/":                        true,
		"https://cache.example.org":                       true,
		"file:///cache":                                   false,
		"ssh-ng://build":                                  false,
		"https://user:secret@build/":                      false,
		"https:///cache":                                  false,
		"https://build/cache?local-nar-cache=/etc/cron.d": false,
		"https://build/cache#fragment":                    false,
		"--option":                                        false,
	} {
		if err := proto.ValidateCacheURL(url); (err == nil) != ok {
			t.Errorf("ValidateCacheURL(%q) = %v", url, err)
		}
	}
}
