//go:build e2e

package toplevel_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// state is what a switch leaves behind: names of systems, and the answer of the app ("" for none).
type state struct{ Current, Boot, App string }

// check compares what the machine shows of itself with want.
func (b *bench) check(ctx context.Context, t *testing.T, want state) {
	t.Helper()
	got := state{
		Current: b.name(b.must(ctx, "readlink", "/run/current-system")),
		Boot:    b.name(b.must(ctx, "cat", "/boot/loader/default")),
		App:     b.answer(ctx),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left behind (-want +got):\n%s", diff)
	}
}

// name is the name of the system whose toplevel that is.
func (b *bench) name(path string) string {
	for name, toplevel := range b.toplevels {
		if toplevel == strings.TrimSpace(path) {
			return name
		}
	}
	return path
}

// answer asks the app.
func (b *bench) answer(ctx context.Context) string {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		return b.m.DialContext(ctx, network, address)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8090/", http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
