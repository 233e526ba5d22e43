package nix

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/internal/narinfo"
	"kedge/proto"
)

// hashText is the SHA-256 of nothing, as Nix has it in both ways.
const (
	hashText   = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
	hashDigits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// daemonSays is what a daemon says that has a, which refers to b.
func daemonSays(t testing.TB) []byte {
	t.Helper()
	s, b := newSaid()
	s.writeNumbers(daemonWelcome, 1<<8|38, daemonSaysDone)
	s.writeNumbers(daemonSaysDone)    // set
	s.writeNumbers(daemonSaysDone, 1) // keep
	s.writeNumbers(daemonSaysActivity, 7, 3, 105)
	s.writeTexts("looking")
	s.writeNumbers(2, 0, 5, 1) // two fields: a number, a text
	s.writeTexts("field")
	s.writeNumbers(0, daemonSaysResult, 7, 101, 0, daemonSaysActivityEnded, 7, daemonSaysLine)
	s.writeTexts("looked")
	s.writeNumbers(daemonSaysDone)
	s.writePaths([]proto.StorePath{parsePath(t, serveA)}) // valid
	s.writeNumbers(daemonSaysDone, 1)
	s.writeTexts("", hashDigits)
	s.writePaths([]proto.StorePath{parsePath(t, serveB)})
	s.writeNumbers(1700000000, 120, 0, 1)
	s.writeTexts("cache-1:c2ln", "")
	s.flush()
	return b.Bytes()
}

// hearDaemon has the whole conversation with a daemon that has said it all before.
func hearDaemon(t testing.TB, says []byte) ([]proto.StorePath, []narinfo.Info, error) {
	t.Helper()
	a := []proto.StorePath{parsePath(t, serveA)}
	c := daemonConn{newWire(io.Discard, bytes.NewReader(says))}
	c.greet()
	c.set([]Setting{{"require-sigs", "true"}})
	c.keep(a)
	valid := c.valid(a)
	infos := c.infos(a)
	return valid, infos, c.err
}

func TestDaemonConversation(t *testing.T) {
	valid, infos, err := hearDaemon(t, daemonSays(t))
	if err != nil {
		t.Fatal(err)
	}
	a, b := parsePath(t, serveA), parsePath(t, serveB)
	same := cmp.Comparer(func(a, b proto.StorePath) bool { return a == b })
	if diff := cmp.Diff([]proto.StorePath{a}, valid, same); diff != "" {
		t.Errorf("valid (-want +got):\n%s", diff)
	}
	want := []narinfo.Info{{Path: a, Hash: hashText, Size: 120, References: []proto.StorePath{b}}}
	if diff := cmp.Diff(want, infos, same); diff != "" {
		t.Errorf("infos (-want +got):\n%s", diff)
	}
}

func TestDaemonIsNotBelieved(t *testing.T) {
	whole := daemonSays(t)
	say := func(ns ...uint64) []byte {
		s, b := newSaid()
		s.writeNumbers(ns...)
		s.flush()
		return b.Bytes()
	}
	const welcome = daemonWelcome
	for _, tt := range []struct {
		name string
		says []byte
		want error
	}{
		{"another program", []byte(strings.Repeat("hello", 10)), errGarbled},
		{"another protocol", say(welcome, 2<<8|40), errGarbled},
		{"a protocol that is too old", say(welcome, 1<<8|31), errGarbled},
		{"nothing that anybody knows", say(welcome, 1<<8|38, 5), errGarbled},
		{"a long text", say(welcome, 1<<8|38, daemonSaysLine, 1<<60), errGarbled},
		{"many fields", say(welcome, 1<<8|38, daemonSaysResult, 0, 0, 1<<60), io.EOF},
		{"no hash", bytes.Replace(whole, []byte(hashDigits), []byte(strings.Repeat("x", 64)), 1), errGarbled},
		{"no store path", bytes.Replace(whole, []byte("/nix/store/1"), []byte("/nix/stare/1"), 1), errGarbled},
		{"an early end", whole[:len(whole)-8], io.EOF},
		{"an early end in a text", whole[:len(whole)-12], io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, infos, err := hearDaemon(t, tt.says); !errors.Is(err, tt.want) || infos != nil {
				t.Errorf("got %v, %v; want %v", infos, err, tt.want)
			}
		})
	}
}

func TestDaemonErrors(t *testing.T) {
	s, b := newSaid()
	s.writeNumbers(daemonWelcome, 1<<8|38, daemonSaysError)
	s.writeTexts("Error")
	s.writeNumbers(0)
	s.writeTexts("Error", "cannot add path '\x1b[35;1m"+serveA+"\x1b[0m'")
	s.writeNumbers(0, 1, 0)
	s.writeTexts("while adding")
	s.flush()
	_, _, err := hearDaemon(t, b.Bytes())
	if said, ok := errors.AsType[*DaemonError](err); !ok || said.Said != "cannot add path '"+serveA+"'" {
		t.Errorf("got %v", err)
	}
}

// What is added goes in frames, and in these it is as the daemon wants it.
func TestDaemonAdds(t *testing.T) {
	var written bytes.Buffer
	done, b := newSaid()
	done.writeNumbers(daemonSaysDone)
	done.flush()
	c := daemonConn{newWire(&written, b)}
	info := narinfo.Info{
		Path: parsePath(t, serveA), Hash: hashText, Size: 3 * frameSize, References: []proto.StorePath{parsePath(t, serveB)},
		Deriver: "11111111111111111111111111111111-a.drv", Signatures: []string{"cache-1:c2ln"}, CA: "text:sha256:x",
	}
	nar := strings.Repeat("nar", frameSize)
	c.add([]narinfo.Info{info}, func(narinfo.Info) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(nar)), nil })
	if c.err != nil {
		t.Fatal(c.err)
	}

	sent := newWire(nil, &written)
	if op, repair, unsigned := sent.readNumber(), sent.readNumber(), sent.readNumber(); op != daemonAddMultiple || repair != 0 || unsigned != 0 {
		t.Errorf("asked for %d, repair %d, unsigned %d", op, repair, unsigned)
	}
	var content bytes.Buffer
	for n := sent.readNumber(); n > 0; n = sent.readNumber() {
		if _, err := io.CopyN(&content, sent.from, int64(n)); err != nil {
			t.Fatal(err)
		}
	}
	if sent.err != nil || sent.from.Buffered() > 0 {
		t.Errorf("after the last frame: %v, %d bytes", sent.err, sent.from.Buffered())
	}
	inner := newWire(nil, &content)
	paths := inner.readNumber()
	texts := []string{inner.readText(), inner.readText(), inner.readText()}
	references := inner.readPaths()
	registered, size, ultimate := inner.readNumber(), inner.readNumber(), inner.readNumber()
	signatures, ca := inner.readTexts(), inner.readText()
	rest, err := io.ReadAll(inner.from)
	if err != nil || inner.err != nil || string(rest) != nar {
		t.Errorf("%v, %v, a NAR of %d bytes", err, inner.err, len(rest))
	}
	want := []string{serveA, "/nix/store/" + info.Deriver, hashDigits}
	if paths != 1 || !cmp.Equal(texts, want) || len(references) != 1 || registered != 0 || size != info.Size || ultimate != 0 ||
		!cmp.Equal(signatures, info.Signatures) || ca != info.CA {
		t.Errorf("got %d, %q, %v, %d, %d, %d, %q, %q", paths, texts, references, registered, size, ultimate, signatures, ca)
	}
}

// The daemon is told no more of an archive than was signed, and the import fails if
// there is more, or less.
func TestAnArchiveIsAsLongAsWasSigned(t *testing.T) {
	for name, tt := range map[string]struct {
		nar  io.Reader
		want string
	}{
		"endless": {endless{}, "its archive is longer than 96 bytes"},
		"cut off": {strings.NewReader("nar"), "EOF"},
	} {
		var written bytes.Buffer
		c := daemonConn{newWire(&written, &bytes.Buffer{})}
		info := narinfo.Info{Path: parsePath(t, serveA), Hash: hashText, Size: 96}
		c.add([]narinfo.Info{info}, func(narinfo.Info) (io.ReadCloser, error) { return io.NopCloser(tt.nar), nil })
		if c.err == nil || !strings.Contains(c.err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, c.err, tt.want)
		}
		if written.Len() > 2*frameSize {
			t.Errorf("%s: the daemon is told %d bytes", name, written.Len())
		}
	}
}

// endless is an archive without an end.
type endless struct{}

// Read implements io.Reader.
func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestNarHashes(t *testing.T) {
	if got, err := narHashOf(hashDigits); err != nil || got != hashText {
		t.Errorf("got %q, %v; want %q", got, err, hashText)
	}
	if got, err := hexOf(hashText); err != nil || got != hashDigits {
		t.Errorf("got %q, %v; want %q", got, err, hashDigits)
	}
	for _, wrong := range []string{"", "sha256:", hashText[:58], hashText + "0", "sha512" + hashText[6:], "sha256:2" + hashText[8:], "sha256:e" + hashText[8:]} {
		if got, err := hexOf(wrong); !errors.Is(err, errNarHash) {
			t.Errorf("%q: got %q, %v", wrong, got, err)
		}
	}
	for _, wrong := range []string{"", hashDigits[2:], hashDigits + "00", strings.Repeat("x", 64)} {
		if got, err := narHashOf(wrong); !errors.Is(err, errNarHash) {
			t.Errorf("%q: got %q, %v", wrong, got, err)
		}
	}
}

func FuzzNarHash(f *testing.F) {
	hash, err := hex.DecodeString(hashDigits)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hash)
	f.Fuzz(func(t *testing.T, hash []byte) {
		if len(hash) != narHashBytes {
			return
		}
		digits := hex.EncodeToString(hash)
		text, err := narHashOf(digits)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := hexOf(text); err != nil || back != digits {
			t.Errorf("%s became %s, and %s, %v", digits, text, back, err)
		}
	})
}

func FuzzDaemon(f *testing.F) {
	f.Add(daemonSays(f))
	f.Fuzz(func(t *testing.T, says []byte) {
		if _, infos, err := hearDaemon(t, says); err == nil && len(infos) != 1 {
			t.Errorf("got %v, and no error", infos)
		}
	})
}
