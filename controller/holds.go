package controller

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kedge/internal/durable"
	"kedge/proto"
)

// holdsFormat is the format of the file of holds.
const holdsFormat = 1

// A hold is what a person keeps from going out, and why.
type hold struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}

// text says why, and who said so.
func (h hold) text() string { return h.Reason + " (" + h.By + ")" }

// heldBack is all that people keep from going out.
type heldBack struct {
	Hosts map[proto.HostName]hold `json:"hosts,omitempty"`
	// Channels are frozen; All is a freeze of every channel, nil if there is none.
	Channels map[string]hold `json:"channels,omitempty"`
	All      *hold           `json:"all,omitempty"`
}

// holds is what people keep from going out, which outlives rollouts and controllers.
// Safe for concurrent use.
type holds struct {
	file   durable.Document[heldBack]
	shared func(path string) error // see [Controller.shared]

	mu      sync.Mutex // guards what follows
	what    heldBack
	unsaved bool // the last change failed
}

// openHolds reads the holds in a file, which need not exist. What is written there is
// shared.
func openHolds(path string, shared func(path string) error) (*holds, error) {
	h := &holds{file: durable.Document[heldBack]{Path: path, Format: holdsFormat}, shared: shared}
	what, err := h.file.Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	h.what = what
	return h, nil
}

// host returns the hold of a host, nil if there is none.
func (h *holds) host(name proto.HostName) *hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, held := h.what.Hosts[name]; held {
		return &v
	}
	return nil
}

// freeze returns what freezes a channel, nil if nothing does.
func (h *holds) freeze(channel string) *hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, frozen := h.what.Channels[channel]; frozen {
		return &v
	}
	return h.what.All
}

// list returns all that is held back and concerns a channel, or any if that is empty:
// what is frozen, and then the hosts.
func (h *holds) list(channel string) (list []proto.RolloutHold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.what.All; a != nil {
		list = append(list, proto.RolloutHold{Reason: a.Reason, By: a.By, Since: a.Since})
	}
	for _, name := range slices.Sorted(maps.Keys(h.what.Channels)) {
		if v := h.what.Channels[name]; channel == "" || channel == name {
			list = append(list, proto.RolloutHold{Channel: name, Reason: v.Reason, By: v.By, Since: v.Since})
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(h.what.Hosts), proto.HostName.Compare) {
		v := h.what.Hosts[name]
		list = append(list, proto.RolloutHold{Host: name, Reason: v.Reason, By: v.By, Since: v.Since})
	}
	return list
}

// settle makes durable what is held back, where a change of it failed: that may be on the
// disk all the same.
func (h *holds) settle() error {
	h.mu.Lock()
	unsaved := h.unsaved
	h.mu.Unlock()
	if !unsaved {
		return nil
	}
	return h.change(func(*heldBack) {})
}

// change makes what do changes durable; if that fails then nothing is changed.
func (h *holds) change(do func(*heldBack)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := h.what
	next.Hosts, next.Channels = maps.Clone(next.Hosts), maps.Clone(next.Channels)
	if next.Hosts == nil {
		next.Hosts = map[proto.HostName]hold{}
	}
	if next.Channels == nil {
		next.Channels = map[string]hold{}
	}
	do(&next)
	h.unsaved = true
	if err := h.file.Write(next); err != nil {
		return err
	}
	if err := h.shared(h.file.Path); err != nil {
		return err
	}
	h.what, h.unsaved = next, false
	return nil
}

// apply does what an act asks for, with h where something is held from now on.
func (b *heldBack) apply(req proto.RolloutActRequest, h hold) {
	switch req.Act {
	case proto.RolloutActHold:
		for _, name := range req.Hosts {
			b.Hosts[name] = h
		}
	case proto.RolloutActRelease:
		for _, name := range req.Hosts {
			delete(b.Hosts, name)
		}
	case proto.RolloutActFreeze:
		if req.Rollout == "" {
			b.All = &h
			return
		}
		b.Channels[req.Rollout] = h
	case proto.RolloutActThaw:
		if req.Rollout == "" {
			b.All = nil
			return
		}
		delete(b.Channels, req.Rollout)
	case proto.RolloutActPause, proto.RolloutActResume, proto.RolloutActPromote, proto.RolloutActAbort, proto.RolloutActRetry, proto.RolloutActRevert:
	}
}

// frozen reports whether a channel is frozen itself, or, if that is empty, all are.
func (h *holds) frozen(channel string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if channel == "" {
		return h.what.All != nil
	}
	_, frozen := h.what.Channels[channel]
	return frozen
}

// missing names the hosts that are not held; it is empty if all are.
func (h *holds) missing(hosts []proto.HostName) string {
	var names []string
	for _, name := range hosts {
		if h.host(name) == nil {
			names = append(names, name.String())
		}
	}
	return strings.Join(names, ", ")
}
