package statefile

import (
	"path/filepath"

	"kedge/internal/durable"
)

// A Loader is a boot loader that can boot an entry once, as an agent found out in
// this boot.
type Loader struct {
	Agent string `json:"agent"` // path of its binary
	Name  string `json:"name"`  // of the loader
}

// Loader returns what was found out; the zero value if nothing was.
func (d Dir) Loader() (Loader, error) { return read(d.loader()) }

// SaveLoader replaces what was found out.
func (d Dir) SaveLoader(l Loader) error { return d.loader().Write(l) }

func (d Dir) loader() durable.Document[Loader] {
	return durable.Document[Loader]{Path: filepath.Join(d.Runtime, loaderFile), Format: format1}
}
