//go:build host

package cache

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kedge/e2e/s3"
	"kedge/internal/nix"
)

// TestRealPushIntoABucket has the real Nix copy into a bucket of S3 that checks who writes,
// and fetch from it as everybody may.
func TestRealPushIntoABucket(t *testing.T) {
	server, err := s3.Start(t.Context(), true)
	must(t, err)
	defer server.Close()
	system, state := realBuild(t), t.TempDir()
	file := filepath.Join(state, "credentials")
	open := func(id, secret string) *Outside {
		must(t, os.WriteFile(file, []byte(s3.CredentialsFile(id, secret)), 0o600))
		o, err := OpenOutside(Options{
			Nix: &nix.CLI{}, KeyFile: filepath.Join(state, "key"), KeyName: "kedge-test-1", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Push: []Target{{URL: "s3://" + s3.Bucket + "?region=eu-central-1&endpoint=" + server.URL, CredentialsFile: file}},
		})
		must(t, err)
		return o
	}
	for _, who := range []struct{ id, secret, why string }{
		{s3.WriterID, "another", "the bucket answered 403 Forbidden, SignatureDoesNotMatch"},
		{s3.ReaderID, s3.ReaderSecret, "the bucket answered 403 Forbidden"},
	} {
		if _, err := open(who.id, who.secret).Push(t.Context(), system); err == nil || !strings.Contains(err.Error(), who.why) || strings.Contains(err.Error(), who.secret) {
			t.Errorf("%s: error = %v, want %q and no secret", who.id, err, who.why)
		}
	}
	o := open(s3.WriterID, s3.WriterSecret)
	closures, err := o.Push(t.Context(), system)
	must(t, err)
	list, err := server.Object(t.Context(), closuresDir+"/"+system.Base()+listSuffix)
	if err != nil || list != string(closures[system].Text()) || strings.Count(list, "\n") < 2 {
		t.Errorf("closure list: %q, %v", list, err)
	}
	_, err = output(t, "nix", "--extra-experimental-features", "nix-command", "copy", "--from", server.URL+"/"+s3.Bucket, "--to", t.TempDir(),
		"--option", "trusted-public-keys", o.PublicKey().String(), "--option", "require-sigs", "true", system.String())
	must(t, err)
	var asked sync.Map
	counted := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method, true)
		counted.ServeHTTP(w, r)
	})
	clear(o.sent)
	_, err = o.Push(t.Context(), system)
	must(t, err)
	if _, read := asked.Load(http.MethodGet); !read {
		t.Error("an hour later the bucket was not asked whether it still has it")
	}
}
