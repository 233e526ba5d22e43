package nix

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

const (
	serveA = "/nix/store/00000000000000000000000000000000-a"
	serveB = "/nix/store/11111111111111111111111111111111-b"
)

// said is what a server says, written with the client's own writers.
type said struct{ *wire }

func newSaid() (said, *bytes.Buffer) {
	var b bytes.Buffer
	return said{&wire{to: bufio.NewWriter(&b)}}, &b
}

func (s said) info(path, hash string, size uint64) {
	s.writeTexts(path, "")
	s.writeNumbers(0, 0, size)
	s.writeTexts(hash, "")
	s.writeNumbers(1)
	s.writeTexts("cache-1:c2ln")
}

// conversation is what a server says that has brought a and its closure.
func conversation(t testing.TB) []byte {
	t.Helper()
	s, b := newSaid()
	s.writeNumbers(serveWelcome, 2<<8|7)
	s.writePaths([]proto.StorePath{parsePath(t, serveA)})
	s.writePaths([]proto.StorePath{parsePath(t, serveB), parsePath(t, serveA)})
	s.info(serveB, "sha256:b", 7)
	s.info(serveA, "sha256:a", 120)
	s.writeTexts("")
	s.flush()
	return b.Bytes()
}

// hear has the whole conversation with a server that has said it all before.
func hear(t testing.TB, says []byte) (brought bool, closure proto.Closure, err error) {
	t.Helper()
	c := newServeConn(io.Discard, bytes.NewReader(says))
	c.greet()
	if brought = c.substitute(parsePath(t, serveA)); brought {
		closure = c.closure(parsePath(t, serveA))
	}
	return brought, closure, c.err
}

func TestServeConversation(t *testing.T) {
	brought, got, err := hear(t, conversation(t))
	if err != nil || !brought {
		t.Fatalf("brought: %t, %v", brought, err)
	}
	want := proto.Closure{
		{Path: parsePath(t, serveA), NarHash: "sha256:a", NarSize: 120},
		{Path: parsePath(t, serveB), NarHash: "sha256:b", NarSize: 7},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b proto.StorePath) bool { return a == b })); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
}

func TestServeIsNotBelieved(t *testing.T) {
	whole := conversation(t)
	numbers := func(ns ...uint64) []byte {
		var b []byte
		for _, n := range ns {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		return b
	}
	tests := []struct {
		name string
		says []byte
		want error
	}{
		{"another program", []byte(strings.Repeat("hello", 10)), errGarbled},
		{"another protocol", numbers(serveWelcome, 3<<8), errGarbled},
		{"a protocol without hashes", numbers(serveWelcome, 2<<8|3), errGarbled},
		{"a long list", numbers(serveWelcome, 2<<8|7, 1<<60), errGarbled},
		{"a long text", numbers(serveWelcome, 2<<8|7, 1, 1<<60), errGarbled},
		{"no store path", append(numbers(serveWelcome, 2<<8|7, 1, 3), "abc\x00\x00\x00\x00\x00"...), errGarbled},
		{"an early end", whole[:len(whole)-8], io.EOF},
		{"an early end in a text", whole[:len(whole)-12], io.ErrUnexpectedEOF},
		{"another path's hash", bytes.Replace(whole, []byte("0-a\x00\x00\x00\x00\x00\x00"), []byte("0-c\x00\x00\x00\x00\x00\x00"), 1), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			brought, closure, err := hear(t, tt.says)
			if brought && err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %t, %v, %v; want %v", brought, closure, err, tt.want)
			}
		})
	}
}

func FuzzServe(f *testing.F) {
	f.Add(conversation(f))
	f.Fuzz(func(t *testing.T, says []byte) {
		brought, closure, err := hear(t, says)
		if brought && err == nil && len(closure) == 0 {
			t.Errorf("a closure without the path itself, and no error")
		}
	})
}

// The numbers are those of Nix (libstore/serve-protocol.hh).
func TestServeAsks(t *testing.T) {
	var asked bytes.Buffer
	c := newServeConn(&asked, bytes.NewReader(conversation(t)))
	c.greet()
	c.substitute(parsePath(t, serveA))
	want := "\xeb\x9d\x0c\x39\x00\x00\x00\x00" + "\x05\x02\x00\x00\x00\x00\x00\x00" + // hello, 2.5
		"\x01\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" + // valid paths, lock, substitute
		"\x01\x00\x00\x00\x00\x00\x00\x00" + "\x2d\x00\x00\x00\x00\x00\x00\x00" + serveA + "\x00\x00\x00"
	if diff := cmp.Diff(want, asked.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
