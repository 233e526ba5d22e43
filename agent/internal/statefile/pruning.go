package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"kedge/proto"
)

// A pruning is a deletion of generations that is not over yet.
type pruning struct {
	Generations []proto.Generation `json:"generations"`
}

// BeginPruning notes durably that generations are about to be deleted: until
// [Dir.EndPruning], boot entries may name some that are gone.
func (d Dir) BeginPruning(generations []proto.Generation) error {
	return d.WithReserve(func() error { return document[pruning](d, pruningFile).Write(pruning{Generations: generations}) })
}

// Pruning reports whether a deletion was begun and is not over. What the file
// says of it is for people.
func (d Dir) Pruning() (bool, error) {
	_, err := os.Lstat(filepath.Join(d.State, pruningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// EndPruning notes durably that no boot entry names a generation that is gone.
func (d Dir) EndPruning() error { return document[pruning](d, pruningFile).Remove() }
