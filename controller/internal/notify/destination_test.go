package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// received is what a destination got.
type received struct {
	header http.Header
	body   string
}

// serve answers with a status, and hands over what it got.
func serve(t *testing.T, status int) (url string, got chan received) {
	t.Helper()
	got = make(chan received, 4)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- received{r.Header, string(b)}
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hook/secret-path", got
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func message(t *testing.T) Message {
	t.Helper()
	return newMessage("build", time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC), []Notice{
		{Key: "k", Event: RollbackFailed, Host: host(t, "web1"), Reason: proto.ReasonUnitsFailed, Message: "<!channel> @everyone said\n\n the \xff [unit](https://evil.example)"},
	})
}

func TestSend(t *testing.T) {
	for _, tt := range []struct {
		format Format
		title  string
		body   string // a part of it
	}{
		{JSON, "", `"event":"rollback-failed","host":"web1","reason":"units-failed"`},
		{Slack, "", `{"text":"*Kedge on build: rollback-failed*\nweb1 could not go back to its proven system: a person has to look: units-failed: \u0026lt;!channel\u0026gt; @` + "\u200b" + `everyone said the [unit]` + "\u200b" + `(https://evil.example)"}`},
		{Ntfy, "Kedge on build: rollback-failed", "web1 could not go back to its proven system: a person has to look: units-failed: <!channel> @everyone said the [unit](https://evil.example)"},
	} {
		url, got := serve(t, http.StatusOK)
		d := Destination{Name: "ops", URLFile: file(t, url+"\n"), Format: tt.format, TokenFile: file(t, "tk_1\n")}
		if err := d.Send(t.Context(), NewClient(), message(t)); err != nil {
			t.Errorf("%s: %v", tt.format, err)
			continue
		}
		r := <-got
		if !strings.Contains(r.body, tt.body) || r.header.Get("Title") != tt.title || r.header.Get("Authorization") != "Bearer tk_1" {
			t.Errorf("%s: got %s with %v", tt.format, r.body, r.header)
		}
		if tt.format == Ntfy != (r.header.Get("Priority") == "5") {
			t.Errorf("%s: priority is %q", tt.format, r.header.Get("Priority"))
		}
	}
}

func TestWhatIsSentIsSigned(t *testing.T) {
	url, got := serve(t, http.StatusNoContent)
	d := Destination{URL: url, Format: JSON, SecretFile: file(t, "correct horse\n")}
	if err := d.Send(t.Context(), NewClient(), message(t)); err != nil {
		t.Fatal(err)
	}
	r := <-got
	mac := hmac.New(sha256.New, []byte("correct horse"))
	mac.Write([]byte(r.body))
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); r.header.Get(SignatureHeader) != want {
		t.Errorf("signed %q, want %q", r.header.Get(SignatureHeader), want)
	}
	var m Message
	if err := json.Unmarshal([]byte(r.body), &m); err != nil || m.Format != 1 || len(m.Notices) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestASecretIsNotShown: neither of a destination that does not answer, nor of one that leads elsewhere.
func TestASecretIsNotShown(t *testing.T) {
	redirects, got := serve(t, http.StatusTemporaryRedirect)
	refuses, _ := serve(t, http.StatusForbidden)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, url := range []string{redirects, refuses, gone.URL + "/hook/secret-path", "http://chat.example/hook/secret-path", "https://chat example/secret-path", "secret-path"} {
		err := Destination{URLFile: file(t, url), Format: JSON}.Send(t.Context(), NewClient(), message(t))
		if err == nil || strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if <-got; len(got) > 0 {
		t.Error("a redirect was followed")
	}
	for _, text := range []string{"", "two\nlines"} {
		if err := (Destination{URL: redirects, Format: JSON, TokenFile: file(t, text)}).Send(t.Context(), NewClient(), message(t)); err == nil {
			t.Errorf("sent with the token %q", text)
		}
	}
}

func TestAMessageIsBounded(t *testing.T) {
	var news []Notice
	for range 10_000 {
		news = append(news, Notice{Event: RolledBack, Host: host(t, "web1"), Message: strings.Repeat("x", 10_000)})
	}
	m := newMessage("build", time.Now(), news)
	if len(m.Notices) != maxNotices || m.More != 9900 {
		t.Errorf("%d notices and %d more", len(m.Notices), m.More)
	}
	if text := m.text(strings.NewReplacer()); len(text) > 1600 || !strings.HasSuffix(text, "and 9996 more: kedge status") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-40:])
	}
	// A chat would not take it, now or later: nobody would be told of the worst day.
	for _, c := range []string{"x", "&", "@", "\U0001f4a5"} {
		var took struct{ Text string }
		body, _, err := newMessage("build", time.Now(), slices.Repeat([]Notice{{Event: RolledBack, Host: host(t, "web1"), Message: strings.Repeat(c, 1000)}}, 200)).write(Slack)
		if err := errors.Join(err, json.Unmarshal(body, &took)); err != nil || len(took.Text) > 2000 {
			t.Errorf("a message for a chat, of %s, has %d bytes, %v", c, len(took.Text), err)
		}
		if !strings.Contains(took.Text, "web1 went back") {
			t.Errorf("a message says nothing of what happened: %q", took.Text)
		}
	}
	if got, want := m.title(), "Kedge on build: rolled-back and 9999 more"; got != want {
		t.Errorf("title %q, want %q", got, want)
	}
}
