package controller

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kedge/proto"
)

// SilentAfter is how long a host may be unheard of before it counts as silent:
// three heartbeats, each as late as its jitter allows.
const SilentAfter = 3 * proto.HeartbeatMaxInterval

// A Fleet is what the controller knows of its hosts: what it published for
// them, and what they said. It lives in memory and is filled anew, from disk and
// from NATS, by every controller that starts. Safe for concurrent use.
//
// It has a version that grows with every change worth showing, so that readers
// can wait for news instead of asking again.
type Fleet struct {
	now     func() time.Time
	started time.Time

	mu       sync.Mutex // guards what follows
	version  uint64
	changed  chan struct{} // closed, and replaced, at every change
	hosts    map[proto.HostName]*hostState
	sources  map[string]proto.SourceStatus      // by channel
	claims   map[string]map[proto.HostName]bool // by channel: who follows it; none before that is known
	rollouts map[string]rolloutState            // by channel
	caughtUp bool
}

// hostState is one host, and the version that changed it last.
type hostState struct {
	view    proto.HostView
	version uint64
	boots   []string       // that were heard of, the newest last; bounded
	changes *proto.Changes // with the packages, which view lacks; never written to
}

// NewFleet returns a fleet without hosts. Versions begin at the present time,
// so that those of a controller's next life are higher than those of this one.
func NewFleet(now func() time.Time) *Fleet {
	started := now()
	return &Fleet{
		now:     now,
		started: started,
		version: uint64(max(started.UnixMilli(), 1)), //nolint:gosec // not negative
		changed: make(chan struct{}),
		hosts:   map[proto.HostName]*hostState{},
		sources: map[string]proto.SourceStatus{},
		claims:  map[string]map[proto.HostName]bool{},

		rollouts: map[string]rolloutState{},
	}
}

// Apply takes what a host said about itself, at the instant it was received. A
// status is not believed to be about any other host than the one that its
// subject names; the caller has checked that. An older status than the one
// known, by the host's own clock and boot, replaces it all the same: the last
// one to arrive is the last one the host sent. Nothing was received in the future: who
// says so, a NATS server, has or had a wrong clock.
func (f *Fleet) Apply(s proto.Status, received time.Time) {
	f.change(s.Host, func(v *proto.HostView) {
		v.Status = &s
		v.Seen = later(v.Seen, f.past(received))
	})
}

// Heard notes that a host gave a sign of life, in a boot, if that is known. Only the
// end of a silence is a change worth waking readers for, and that two machines take
// turns to be this host, which it reports when that is news.
func (f *Fleet) Heard(host proto.HostName, boot string, received time.Time) (rivals bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, known := f.hosts[host]
	if !known {
		h = f.add(host)
		f.bump(h)
	}
	received = f.past(received)
	h.view.Seen = later(h.view.Seen, received)
	if silent := f.silent(h.view.Seen); silent != h.view.Silent {
		h.view.Silent = silent
		f.bump(h)
	}
	if h.rotate(boot) {
		rivals = h.view.Rival == nil
		h.view.Rival = &proto.Rival{Seen: received, Message: "two machines take turns: the boots " + strings.Join(h.boots[len(h.boots)-2:], " and ")}
		f.bump(h)
	}
	return rivals
}

// Want notes what was published for a host.
func (f *Fleet) Want(host proto.HostName, t proto.Target) {
	f.mu.Lock()
	h := f.hosts[host]
	same := h != nil && h.view.Want == t // signed anew, and nothing else
	f.mu.Unlock()
	if !same {
		f.change(host, func(v *proto.HostView) { v.Want = t })
	}
}

// Trouble notes why the newest revision does not reach a host; nil means that
// nothing stands in its way.
func (f *Fleet) Trouble(host proto.HostName, p *proto.Problem) {
	f.mu.Lock()
	h := f.hosts[host]
	none := p == nil && (h == nil || h.view.Problem == nil)
	f.mu.Unlock()
	if !none {
		f.change(host, func(v *proto.HostView) { v.Problem = p })
	}
}

// Solved notes that nothing stands in a revision's way to a host any more. What a
// newer one ran into stays.
func (f *Fleet) Solved(host proto.HostName, rev proto.Revision) {
	if v, _ := f.Host(host); v.Host.Problem != nil && v.Host.Problem.Revision == rev {
		f.Trouble(host, nil)
	}
}

// Enrolled notes which key a host was given last. It is listed from then on, even if
// it never said anything.
func (f *Fleet) Enrolled(host proto.HostName, k proto.HostKey) {
	f.mu.Lock()
	h := f.hosts[host]
	same := h != nil && h.view.Key != nil && *h.view.Key == k
	f.mu.Unlock()
	if !same {
		f.change(host, func(v *proto.HostView) { v.Key = &k })
	}
}

// Looked notes how the controller stands to the repository of a channel. What was
// built is for [Fleet.Built] to say, and that it was pushed over for
// [Fleet.PushedOver].
func (f *Fleet) Looked(s proto.SourceStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.sources[s.Channel]
	s.Built, s.PushedOver = had.Built, had.PushedOver
	f.sources[s.Channel] = s
	f.bump(nil)
}

// Built notes the newest revision of a channel that was built.
func (f *Fleet) Built(channel string, r proto.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sources[channel]; s.Built != r {
		s.Built = r
		f.sources[channel] = s
		f.bump(nil)
	}
}

// PushedOver notes that the branch of a channel was pushed over; nil for never.
func (f *Fleet) PushedOver(channel string, p *proto.ForcePush) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sources[channel]
	s.PushedOver = p
	f.sources[channel] = s
	f.bump(nil)
}

// Sweep finds the hosts that fell silent since the last time.
func (f *Fleet) Sweep() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.hosts {
		if silent := f.silent(h.view.Seen); silent != h.view.Silent {
			h.view.Silent = silent
			f.bump(h)
		}
		if h.forgetRival(f.now()) {
			f.bump(h)
		}
	}
}

// View returns the fleet as it is.
func (f *Fleet) View() proto.FleetReply {
	f.mu.Lock()
	defer f.mu.Unlock()
	hosts := make([]proto.HostView, 0, len(f.hosts))
	for _, name := range slices.SortedFunc(maps.Keys(f.hosts), proto.HostName.Compare) {
		hosts = append(hosts, f.hosts[name].view)
	}
	return proto.FleetReply{Version: f.version, Hosts: hosts, Sources: f.sorted(), Rollouts: f.views()}
}

// Host returns one host as it is, with the version that changed it last.
func (f *Fleet) Host(host proto.HostName) (proto.HostReply, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, known := f.hosts[host]
	if !known {
		return proto.HostReply{}, false
	}
	view := h.view
	view.Changes = h.changes
	return proto.HostReply{Version: h.version, Host: view}, true
}

// Accepted returns the highest serial that a host says it accepted; zero if it never
// said one.
func (f *Fleet) Accepted(host proto.HostName) proto.Serial {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, known := f.hosts[host]
	if !known || h.view.Status == nil {
		return 0
	}
	s := h.view.Status
	return max(s.Floor, s.Serial, s.Deployment.Serial)
}

// SourceStatus returns how the controller stands to the repository of a channel.
func (f *Fleet) SourceStatus(channel string) proto.SourceStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sources[channel]
}

// Sources returns how the controller stands to all of its repositories.
func (f *Fleet) Sources() []proto.SourceStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sorted()
}

// sorted returns the sources by channel, a list if there are none. The caller holds the
// mutex.
func (f *Fleet) sorted() []proto.SourceStatus {
	sources := []proto.SourceStatus{}
	for _, channel := range slices.Sorted(maps.Keys(f.sources)) {
		sources = append(sources, f.sources[channel])
	}
	return sources
}

// change applies do to a host's view, under the mutex, and wakes readers.
func (f *Fleet) change(host proto.HostName, do func(*proto.HostView)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, known := f.hosts[host]
	if !known {
		h = f.add(host)
	}
	do(&h.view)
	h.view.Silent = f.silent(h.view.Seen)
	f.bump(h)
}

// add lists a host. The caller holds the mutex.
func (f *Fleet) add(host proto.HostName) *hostState {
	h := &hostState{view: proto.HostView{Host: host, Channel: f.follows(host), Silent: f.silent(time.Time{})}}
	f.hosts[host] = h
	return h
}

// silent reports whether a host seen last at seen is silent by now. A controller
// that has just started has heard of nobody, and blames nobody for it.
func (f *Fleet) silent(seen time.Time) bool {
	return f.now().Sub(later(seen, f.started)) > SilentAfter
}

// past returns an instant, or the present if it is in the future.
func (f *Fleet) past(t time.Time) time.Time {
	if now := f.now(); t.After(now) {
		return now
	}
	return t
}

// later returns the later of two instants.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
