package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/proto"

	"github.com/google/go-cmp/cmp"
)

type record struct {
	ID   string          `json:"id"`
	Path proto.StorePath `json:"path"`
}

func TestDocumentKeepsWhatWasWritten(t *testing.T) {
	path, err := proto.ParseStorePath("/nix/store/00000000000000000000000000000000-web1")
	if err != nil {
		t.Fatal(err)
	}
	d := Document[record]{Path: filepath.Join(t.TempDir(), "record.json"), Format: 2}
	want := record{ID: "a", Path: path}
	if err := d.Write(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Read()
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantText := `{
  "format": 2,
  "id": "a",
  "path": "/nix/store/00000000000000000000000000000000-web1"
}
`
	if diff := cmp.Diff(wantText, readFile(t, d.Path)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	info, err := os.Stat(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("permissions: got %v, want 0600", got)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read after remove: got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestDocumentRead(t *testing.T) {
	const (
		fine = iota
		corrupt
		format
	)
	tests := []struct {
		name    string
		content string
		want    int
		message string
	}{
		{"accepts its format", `{"format":3,"id":"a"}`, fine, ""},
		{"accepts the oldest format", `{"format":2,"id":"a"}`, fine, ""},
		{"ignores unknown keys", `{"format":3,"id":"a","later":[1]}`, fine, ""},
		{"refuses an empty file", ``, corrupt, "damaged"},
		{"refuses a file of zeroes", "\x00\x00\x00\x00", corrupt, "damaged"},
		{"refuses a torn file", `{"format":3,"id":"a`, corrupt, "damaged"},
		{"refuses a second value", `{"format":3}{"format":3}`, corrupt, "damaged"},
		{"refuses a value of the wrong type", `{"format":3,"id":7}`, corrupt, "id"},
		{"refuses an invalid value", `{"format":3,"path":"/etc/passwd"}`, corrupt, "invalid store path"},
		{"refuses another shape", `[]`, corrupt, "damaged"},
		{"refuses a format that is no number", `{"format":"3"}`, corrupt, "format"},
		{"refuses a newer format", `{"format":4,"id":7}`, format, "format 4 is newer"},
		{"refuses an older format", `{"format":1,"id":"a"}`, format, "format 1 is older"},
		{"refuses no format", `{"id":"a"}`, format, "names no format"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Document[record]{Path: filepath.Join(t.TempDir(), "record.json"), Format: 3, Oldest: 2}
			if err := os.WriteFile(d.Path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := d.Read()
			if tt.want == fine {
				if err != nil || got.ID != "a" {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			var ce *CorruptError
			var fe *FormatError
			if errors.As(err, &ce) != (tt.want == corrupt) || errors.As(err, &fe) != (tt.want == format) {
				t.Fatalf("error: got %T %v", err, err)
			}
			if !strings.Contains(err.Error(), d.Path) || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("error: got %q, want it to name %s and %q", err, d.Path, tt.message)
			}
			if got != (record{}) {
				t.Errorf("value beside an error: %+v", got)
			}
			if readFile(t, d.Path) != tt.content {
				t.Error("reading changed the file")
			}
		})
	}
}

func TestDocumentWriteRefusesWhatIsNoDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	if err := (Document[[]string]{Path: path, Format: 1}).Write([]string{"a"}); err == nil {
		t.Error("list: no error")
	}
	if err := (Document[record]{Path: path}).Write(record{}); err == nil {
		t.Error("format 0: no error")
	}
	if err := (Document[struct{}]{Path: path, Format: 1}).Write(struct{}{}); err != nil {
		t.Errorf("empty object: %v", err)
	}
}
