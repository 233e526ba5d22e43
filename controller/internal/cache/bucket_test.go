package cache

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kedge/e2e/s3"
	"kedge/internal/netrc"
)

// inBucket returns a server, and a target that is its bucket, with what somebody is known by.
func inBucket(t *testing.T, id, secret string) (*s3.Server, Target) {
	t.Helper()
	server, err := s3.Start(t.Context(), false)
	must(t, err)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(file, []byte(s3.CredentialsFile(id, secret)), 0o600))
	target := Target{URL: "s3://" + s3.Bucket + "?region=eu-central-1&priority=30&endpoint=" + server.URL, CredentialsFile: file}
	if problems := target.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return server, target
}

// TestABucketTakesWhatIsSigned, and nothing else: keys have what has to be escaped.
func TestABucketTakesWhatIsSigned(t *testing.T) {
	const key = "closures/0a-gtk+-3.24=x?y.txt"
	server, target := inBucket(t, s3.WriterID, s3.WriterSecret)
	b, err := target.bucket(http.DefaultClient, time.Now)
	must(t, err)
	must(t, b.put(t.Context(), key, []byte("a list")))
	if got, err := server.Object(t.Context(), key); err != nil || got != "a list" {
		t.Errorf("there is %q, %v", got, err)
	}
	resp, err := b.do(t.Context(), http.MethodGet, key, nil, 0, nil)
	must(t, err)
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "a list" || resp.Body.Close() != nil {
		t.Errorf("read %q, %v", text, err)
	}
	for name, key := range map[string]accessKey{
		"another secret":    {id: s3.WriterID, secret: s3.ReaderSecret},
		"nobody it knows":   {id: "AKIANOBODY", secret: s3.WriterSecret},
		"who may only read": {id: s3.ReaderID, secret: s3.ReaderSecret},
	} {
		b.key = key
		if err := b.put(t.Context(), "x", []byte("x")); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: error = %v, want 403", name, err)
		}
	}
	b.key = accessKey{s3.WriterID, s3.WriterSecret, "a session"}
	must(t, b.put(t.Context(), "x", []byte("x")))
}

func TestWhereABucketIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(file, []byte(s3.CredentialsFile("a", "b")), 0o600))
	for url, want := range map[string]string{
		"s3://fleet":                                              "https://fleet.s3.us-east-1.amazonaws.com/x",
		"s3://fleet?region=eu-central-1":                          "https://fleet.s3.eu-central-1.amazonaws.com/x",
		"s3://fleet.example":                                      "https://s3.us-east-1.amazonaws.com/fleet.example/x",
		"s3://fleet?addressing-style=path":                        "https://s3.us-east-1.amazonaws.com/fleet/x",
		"s3://fleet?endpoint=s3.example:9000":                     "https://s3.example:9000/fleet/x",
		"s3://fleet/a/b?endpoint=s3.example":                      "https://s3.example/fleet/a/b/x",
		"s3://fleet?scheme=http&endpoint=minio":                   "http://minio/fleet/x",
		"s3://fleet?endpoint=http://minio:1/store":                "http://minio:1/store/fleet/x",
		"s3://fleet?endpoint=s3.example&addressing-style=virtual": "https://fleet.s3.example/x",
		"s3://fleet?endpoint=http://":                             "",
		"s3://fleet?endpoint=ftp://minio":                         "",
		"s3://fleet?endpoint=http://u:s3cret@minio":               "",
	} {
		b, err := Target{URL: url, CredentialsFile: file}.bucket(http.DefaultClient, time.Now)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "endpoint") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: error = %v, want one about the endpoint, without what is in it", url, err)
			}
			continue
		}
		must(t, err)
		if got := b.base.JoinPath("x").String(); got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

// TestPushIntoABucket: Nix has a password for as long as it copies, and never the key.
func TestPushIntoABucket(t *testing.T) {
	n := newFake(t)
	server, target := inBucket(t, s3.WriterID, s3.WriterSecret)
	c := sending(t, n, target)
	ask := func(method, url, password string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("StorePath: x"))
		must(t, err)
		req.SetBasicAuth(gatewayUser, password)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		return resp.StatusCode
	}
	var url, passwords string
	n.meanwhile = func() {
		o := n.copies[len(n.copies)-1]
		base, query, _ := strings.Cut(o.To, "?")
		url, passwords = base+"/x.narinfo", o.NetrcFile
		if !o.Direct || o.CacheDir != filepath.Dir(passwords) || !strings.HasPrefix(base, "http://127.0.0.1:") || strings.Contains(query, "endpoint") || !strings.Contains(query, "priority=30") || !strings.Contains(query, "secret-key=") {
			t.Errorf("Nix copies by %+v", o)
		}
		text, err := os.ReadFile(passwords)
		must(t, err)
		password := netrc.Find(string(text), "127.0.0.1").Password
		for want, got := range map[int]int{
			http.StatusNotFound: ask(http.MethodHead, url, password), http.StatusOK: ask(http.MethodPut, url, password),
			http.StatusUnauthorized: ask(http.MethodGet, url, ""), http.StatusMethodNotAllowed: ask(http.MethodDelete, url, password),
		} {
			if got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
		if strings.Contains(o.To+string(text), s3.WriterSecret) {
			t.Error("Nix is told the secret")
		}
	}
	closures, err := c.Push(t.Context(), path(t, "db1"))
	must(t, err)
	for key, want := range map[string]string{
		"x.narinfo": "StorePath: x", closuresDir + "/" + path(t, "db1").Base() + listSuffix: string(closures[path(t, "db1")].Text()),
	} {
		if got, err := server.Object(t.Context(), key); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
	if _, err := os.Stat(passwords); !os.IsNotExist(err) || passwords == "" {
		t.Errorf("the password is still there: %v", err)
	}
	if resp, err := http.Get(url); err == nil { //nolint:noctx // nobody answers
		t.Errorf("the gateway still answers: %s, %v", resp.Status, resp.Body.Close())
	}
	must(t, os.Remove(target.CredentialsFile))
	if _, err := c.Push(t.Context(), path(t, "web1")); err == nil || !strings.Contains(err.Error(), "credentials_file: ") {
		t.Errorf("error = %v, want that there are no credentials", err)
	}
}

// TestABucketThatNobodyReachesIsNamed: Nix says of the gateway alone that it has no answer.
func TestABucketThatNobodyReachesIsNamed(t *testing.T) {
	n := newFake(t)
	server, target := inBucket(t, s3.WriterID, s3.WriterSecret)
	server.Close()
	c := sending(t, n, target)
	refused := errors.New("HTTP error 502")
	n.meanwhile = func() {
		o := n.copies[len(n.copies)-1]
		text, err := os.ReadFile(o.NetrcFile)
		must(t, err)
		base, _, _ := strings.Cut(o.To, "?")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base+"/x.narinfo", strings.NewReader("x"))
		must(t, err)
		req.SetBasicAuth(gatewayUser, netrc.Find(string(text), "127.0.0.1").Password)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusBadGateway {
			t.Errorf("the gateway answers %s", resp.Status)
		}
		n.afterwards = refused
	}
	_, err := c.Push(t.Context(), path(t, "db1"))
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), "the bucket does not answer: ") || !strings.Contains(err.Error(), server.URL) {
		t.Errorf("error = %v, want that the bucket does not answer", err)
	}
}

func TestCredentialsInFiles(t *testing.T) {
	const aws = "aws_access_key_id=0\n[default]\naws_access_key_id=1\naws_secret_access_key = 2=\n; x\n[ci]\naws_access_key_id = 3\naws_secret_access_key=4\naws_session_token = 5\n"
	for profile, want := range map[string]accessKey{"default": {"1", "2=", ""}, "ci": {"3", "4", "5"}, "x": {}} {
		if got := parseAccessKey(aws, profile); got != want {
			t.Errorf("%s: got %v, want %v", profile, got, want)
		}
	}
	file := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(file, []byte(aws), 0o600))
	_, err := Target{URL: "s3://fleet?profile=x", CredentialsFile: file}.bucket(http.DefaultClient, time.Now)
	if err == nil || !strings.Contains(err.Error(), "[x]") || strings.Contains(err.Error(), "2=") {
		t.Errorf("error = %v, want which section lacks a key", err)
	}
}

// TestClosureListsGoWhereNixMayWrite, with the same credentials.
func TestClosureListsGoWhereNixMayWrite(t *testing.T) {
	put := map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "kedge" || password != "s3cret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		text, err := io.ReadAll(r.Body)
		must(t, err)
		put[r.URL.Path] = string(text)
	}))
	defer server.Close()
	n, file := newFake(t), filepath.Join(t.TempDir(), "netrc")
	must(t, os.WriteFile(file, []byte("machine 127.0.0.1 login kedge password s3cret\n"), 0o600))
	c := sending(t, n, Target{URL: server.URL, CredentialsFile: file})
	closures, err := c.Push(t.Context(), path(t, "db1"))
	must(t, err)
	if got := put["/closures/"+path(t, "db1").Base()+listSuffix]; got != string(closures[path(t, "db1")].Text()) {
		t.Errorf("put %q", put)
	}
	if got := n.copies[len(n.copies)-1].NetrcFile; got != file {
		t.Errorf("Nix has its credentials from %q, want %q", got, file)
	}
}
