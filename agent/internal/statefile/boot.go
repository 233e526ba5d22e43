package statefile

import (
	"reflect"
	"slices"

	"kedge/internal/durable"
	"kedge/proto"
)

// A Boot is what is known of the store in the boot that the agent last ran in.
type Boot struct {
	ID string `json:"id"`
	// Clean is true once the host goes down in order, with all that was fetched on
	// its disk.
	Clean bool `json:"clean,omitempty"`
	// Sound is a system whose closure is whole, as far as is known: it ran when an
	// orderly boot began, or it was read since. Zero is none.
	Sound proto.StorePath `json:"sound,omitzero"`
	// Unverified is true until what was added since Sound was read: the boot before
	// had no orderly end.
	Unverified bool `json:"unverified,omitempty"`
	// Corrupt are the paths that were found not to be what is registered, and were
	// not mended yet.
	Corrupt []proto.StorePath `json:"corrupt,omitempty"`
}

// In returns what is known in the boot called id, in which running runs, after
// what was known before. Nothing is verified where nothing was known.
func (b Boot) In(id string, running proto.StorePath) Boot {
	clean := b.Clean
	b.Clean = false // from now on something may be fetched
	switch {
	case b.ID == id:
	case b.ID == "":
		b.Sound = running
	case !clean || b.Unverified:
		b.Unverified = true
	case len(b.Corrupt) == 0:
		b.Sound = running
	}
	b.ID = id
	return b
}

// Verified returns b once what was added since Sound was read while running ran,
// and the paths of corrupt were found.
func (b Boot) Verified(running proto.StorePath, corrupt []proto.StorePath) Boot {
	b.Unverified, b.Corrupt = false, corrupt
	if len(corrupt) == 0 {
		b.Sound = running
	}
	return b
}

// Mended returns b without p among what is corrupt.
func (b Boot) Mended(p proto.StorePath) Boot {
	b.Corrupt = slices.DeleteFunc(slices.Clone(b.Corrupt), func(q proto.StorePath) bool { return q == p })
	return b
}

// Boot returns what is known; the zero value if nothing is.
func (d Dir) Boot() (Boot, error) { return read(document[Boot](d, bootFile)) }

// SaveBoot replaces what is known, durably. If that is b already, as it is for an
// agent that was restarted, there is nothing to write.
func (d Dir) SaveBoot(b Boot) error {
	if known, err := d.Boot(); err == nil && reflect.DeepEqual(known, b) {
		return durable.SyncDir(d.State) // who wrote it may have died before that
	}
	return document[Boot](d, bootFile).Write(b)
}
