package transaction_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kedge/agent/internal/activation"
	"kedge/agent/internal/deployment"
	"kedge/agent/internal/loader"
	"kedge/proto"
)

// newest is what the newest generation of the profile is.
func (h *fakeHost) newest() proto.StorePath { return h.generations[len(h.generations)-1] }

// listed reports whether the new system is a generation.
func (h *fakeHost) listed() bool { return slices.Contains(h.generations, newSystem) }

// set makes the profile name p, by a new generation unless the newest one is p's.
func (h *fakeHost) set(p proto.StorePath) {
	if h.newest() != p {
		h.generations = append(h.generations, p)
	}
	h.profile = p
}

func (h *fakeHost) Register(_ context.Context, p proto.StorePath) (proto.Generation, error) {
	return 2, h.do(func() {
		if h.profile != p {
			h.set(p)
		}
	})
}

func (h *fakeHost) Restore(_ context.Context, p deployment.Proven) error {
	if h.noProfile {
		return errors.New("read-only file system")
	}
	return h.do(func() { h.profile = p.Toplevel })
}

func (h *fakeHost) Raise(_ context.Context, p, above proto.StorePath) error {
	if h.noProfile {
		return errors.New("read-only file system")
	}
	return h.do(func() {
		below := h.generations
		if h.newest() == above {
			below = below[:len(below)-1]
		}
		if len(below) == 0 || below[len(below)-1] != p {
			h.set(p)
		}
	})
}

func (h *fakeHost) Drop(_ context.Context, p proto.StorePath) error {
	return h.do(func() {
		if h.newest() == p && h.profile != p {
			h.generations = h.generations[:len(h.generations)-1]
		}
	})
}

func (h *fakeHost) SetDefault(_ context.Context, p proto.StorePath) error {
	if (p == newSystem || h.listed()) && h.loaderRefuses {
		return errors.New("no space left on /boot")
	}
	if h.loaderBusy > 0 {
		h.loaderBusy--
		return &activation.DefaultError{Toplevel: p, Err: activation.ErrBusy}
	}
	entries := h.generations
	if h.limit > 0 && h.limit < len(entries) {
		entries = entries[len(entries)-h.limit:]
	}
	next, known := p, h.limit == 0 || slices.Contains(entries, p)
	if !known {
		next = h.newest() // the default that is named is not there
	}
	if err := h.do(func() { h.bootDefault = next }); err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("boot %s by default: %w", p, loader.ErrNoEntry)
	}
	if h.defaulted == nil {
		return nil
	}
	return h.defaulted(h, p)
}
