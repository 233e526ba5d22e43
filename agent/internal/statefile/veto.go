package statefile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Veto holds back the activation of what was fetched. It is a file in the
// folder inhibit.d of the runtime directory, and ends with it.
type Veto struct {
	Who string // the file's name
	Why string // its first line
}

// String returns who vetoes and why.
func (v Veto) String() string {
	if v.Why == "" {
		return v.Who
	}
	return v.Who + ": " + v.Why
}

// ErrVetoName is returned for a name that no veto can have.
var ErrVetoName = errors.New("must be the name of a file that is not hidden")

// maxWhy is how much of a veto's first line counts, in bytes.
const maxWhy = 200

// Clip returns v with as much of its texts as counts: others wrote them.
func (v Veto) Clip() Veto { return Veto{Who: clip(v.Who), Why: clip(v.Why)} }

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxWhy)], "") }

// Vetoes returns the vetoes there are, sorted by name. What cannot be read
// counts, too. Hidden files do not.
func (d Dir) Vetoes() []Veto {
	entries, err := os.ReadDir(filepath.Join(d.Runtime, vetoDir))
	var vetoes []Veto
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		vetoes = []Veto{{Who: vetoDir, Why: err.Error()}}
	}
	for _, e := range entries {
		if validVeto(e.Name()) {
			vetoes = append(vetoes, Veto{Who: e.Name(), Why: why(d.vetoPath(e.Name()), e.Type())})
		}
	}
	return vetoes
}

// why returns the first line of a regular file; others may never end.
func why(path string, t fs.FileMode) string {
	if !t.IsRegular() {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, maxWhy)).ReadString('\n') // as much as there is
	return strings.TrimSpace(strings.ToValidUTF8(line, ""))
}

// Veto adds or replaces a veto.
func (d Dir) Veto(v Veto) error {
	if !validVeto(v.Who) {
		return fmt.Errorf("veto %q: %w", v.Who, ErrVetoName)
	}
	if err := os.MkdirAll(filepath.Join(d.Runtime, vetoDir), privatePerm); err != nil {
		return fmt.Errorf("veto: %w", err)
	}
	if err := os.WriteFile(d.vetoPath(v.Who), []byte(v.Why+"\n"), contactPerm); err != nil {
		return fmt.Errorf("veto: %w", err)
	}
	return nil
}

// EndVeto removes the veto of who, if there is one.
func (d Dir) EndVeto(who string) error {
	if err := os.Remove(d.vetoPath(who)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("end veto: %w", err)
	}
	return nil
}

// WatchVetoes watches all vetoes as [Dir.Watch] watches a file. It makes their
// folder if it is missing.
func (d Dir) WatchVetoes(ctx context.Context) (<-chan struct{}, error) {
	dir := filepath.Join(d.Runtime, vetoDir)
	if err := os.MkdirAll(dir, privatePerm); err != nil {
		return nil, fmt.Errorf("watch vetoes: %w", err)
	}
	return watch(ctx, dir, func(path string) bool { return path != dir })
}

func (d Dir) vetoPath(who string) string { return filepath.Join(d.Runtime, vetoDir, who) }

func validVeto(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsRune(name, '/')
}
