package hook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Path is where the webhook of a channel is.
const Path = "/hook/"

const (
	// pause is between two looks at one repository that webhooks ask for.
	pause = 2 * time.Second
	// logPause is between two lines about webhooks of one channel that were refused.
	logPause = time.Minute
	// maxBody is what forges send at most.
	maxBody = 25 << 20
	// headSize is how much of a body is kept, to find the ref in.
	headSize = 16 << 10
	// minSecret is the shortest secret, in characters, that counts as one.
	minSecret = 16
)

// A Result is what came of a webhook. Values are in metrics.
type Result string

// The results of webhooks.
const (
	Looked  Result = "looked"  // the repository is looked at
	Ignored Result = "ignored" // it is about another branch, or no push
	Refused Result = "refused" // nobody knows who sent it
	Failed  Result = "failed"  // the secret cannot be read
)

// Results returns every result.
func Results() []Result { return []Result{Looked, Ignored, Refused, Failed} }

// A Hook is the webhook of one channel.
type Hook struct {
	Kind       Kind
	SecretFile string // read at each webhook
	Header     string // with the signature, for HMAC
	Branch     string // pushes to others are ignored
	Look       func() // has the repository looked at; returns at once
}

// Options is what a handler needs. All are required.
type Options struct {
	Hooks map[string]Hook // by channel
	Count func(channel string, r Result)
	Log   *slog.Logger
}

// door is a hook in use.
type door struct {
	Hook
	channel string
	bell    bell // has the repository looked at
	tell    bell // says that somebody was refused
	broken  bell // says that the secret cannot be read
}

// NewHandler serves webhooks at [Path] and the channel. Whoever is refused is not
// told why.
func NewHandler(o Options) http.Handler {
	m := http.NewServeMux()
	for channel, hook := range o.Hooks {
		d := &door{Hook: hook, channel: channel, bell: bell{pause: pause, look: hook.Look}}
		d.tell = bell{pause: logPause, look: func() {
			o.Log.Warn("a webhook was refused: its signature is not that of the secret", "channel", channel)
		}}
		d.broken = bell{pause: logPause, look: func() {
			if _, err := readSecret(hook.Kind, hook.SecretFile); err != nil {
				o.Log.Error("webhooks cannot be verified", "channel", channel, "err", err)
			}
		}}
		m.HandleFunc("POST "+Path+channel, func(w http.ResponseWriter, r *http.Request) {
			result := d.take(w, r)
			o.Count(channel, result)
			respond(w, result)
		})
	}
	return m
}

// take finds out what a request is.
func (d *door) take(w http.ResponseWriter, r *http.Request) Result {
	secret, err := readSecret(d.Kind, d.SecretFile)
	if err != nil {
		d.broken.ring()
		return Failed
	}
	mac, head := hmac.New(sha256.New, secret.key), &bytes.Buffer{}
	_, _ = io.WriteString(mac, secret.signedHead(r.Header)) // a hash takes everything
	body := io.TeeReader(http.MaxBytesReader(w, r.Body, maxBody), mac)
	if _, err := io.CopyN(head, body, headSize); err != nil && !errors.Is(err, io.EOF) {
		return d.refuse()
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return d.refuse()
	}
	if !d.Kind.verifies(d.Header, r.Header, secret, mac.Sum(nil), time.Now()) {
		return d.refuse()
	}
	header, push := d.Kind.event()
	if event := r.Header.Get(header); header != "" && event != "" && event != push {
		return Ignored
	}
	if ref := refOf(head.Bytes()); ref != "" && ref != "refs/heads/"+d.Branch {
		return Ignored
	}
	d.bell.ring()
	return Looked
}

func (d *door) refuse() Result {
	d.tell.ring()
	return Refused
}

// respond tells the sender as much as it may know.
func respond(w http.ResponseWriter, r Result) {
	switch r {
	case Looked:
		w.WriteHeader(http.StatusAccepted)
	case Ignored:
		w.WriteHeader(http.StatusOK)
	case Refused:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	case Failed:
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	}
}
