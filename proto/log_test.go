package proto_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"kedge/proto"
)

// What a run said arrives whole, in as few messages as hold it, each of which can be
// read, whatever it said.
func TestALogIsSplitBetweenRunes(t *testing.T) {
	const long = 100 << 10
	for _, tt := range []struct {
		name, text string
		most       int // messages
	}{
		{"nothing", "", 1},
		{"a line", "activating the configuration...\n", 1},
		{"plain text", strings.Repeat("starting the following units\n", long/29), 3},
		{"runes of three bytes", strings.Repeat("☃", long/3), 3},
		{"what JSON makes twice as long", strings.Repeat("\"\n", long/2), 5},
		{"what JSON makes six times as long", strings.Repeat("\x1b<&\u2028", long/6), 13},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := exampleLog(t)
			l.Text = tt.text
			parts := l.Split()
			if len(parts) > tt.most {
				t.Errorf("%d parts, want at most %d", len(parts), tt.most)
			}
			var text strings.Builder
			for i, part := range parts {
				b, err := part.Encode()
				if err != nil {
					t.Fatal(err)
				}
				got, err := proto.ParseLog(b)
				if err != nil {
					t.Fatal(err)
				}
				if got.Part != i+1 || got.Parts != len(parts) || got.Time != l.Time || got.Deployment != l.Deployment || !utf8.ValidString(part.Text) {
					t.Errorf("part %d of %d is %d of %d, of %s at %s", i+1, len(parts), got.Part, got.Parts, got.Deployment, got.Time)
				}
				text.WriteString(got.Text)
			}
			if text.String() != tt.text {
				t.Errorf("%d bytes arrived, want %d", text.Len(), len(tt.text))
			}
		})
	}
}

func TestWhatIsNoLogIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(l *proto.Log){
		"of no host":       func(l *proto.Log) { l.Host = proto.HostName{} },
		"of no deployment": func(l *proto.Log) { l.Deployment = "" },
		"of no system":     func(l *proto.Log) { l.Toplevel = proto.StorePath{} },
		"no part":          func(l *proto.Log) { l.Part = 0 },
		"a part too many":  func(l *proto.Log) { l.Part = l.Parts + 1 },
		"too many parts":   func(l *proto.Log) { l.Parts = proto.MaxLogs + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			l := exampleLog(t)
			spoil(&l)
			b, err := l.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := proto.ParseLog(b); !errors.Is(err, proto.ErrMalformed) {
				t.Errorf("got %v, want %v", err, proto.ErrMalformed)
			}
		})
	}
	l := exampleLog(t)
	l.Text = strings.Repeat("x", proto.MaxLog)
	if _, err := l.Encode(); !errors.Is(err, proto.ErrOversized) {
		t.Errorf("what was not split: got %v, want %v", err, proto.ErrOversized)
	}
}
