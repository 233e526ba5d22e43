package rollout

import (
	"slices"
	"time"

	"kedge/proto"
)

// doubt is how long a verdict is none that the host tries again after: as long as an agent waits
// at most before it tries again, by when it has several times.
const doubt = 30 * time.Minute

// patience is how long everybody waits for a host that waits for something of its own: as
// long as a few hosts take that reboot one after the other.
const patience = 30 * time.Minute

// A view is a rollout, the fleet and the time, looked at together.
type view struct {
	Rollout
	fleet Fleet
	now   time.Time
}

// observed returns what hosts came to, and were assigned, that the rollout does not
// know yet, in the order of their names.
func (v view) observed() (actions []Action) {
	for name, p := range v.Hosts {
		a := Action{}
		switch {
		case p.State != Waiting:
			a = v.observe(name, p, v.fleet.Hosts[name])
		case v.Wave < len(v.Waves) && !v.Waves[v.Wave].Started.IsZero() && contains(v.Waves[v.Wave].stage(), name):
			a = p.assigned(v.fleet.Hosts[name])
		}
		if a.Kind != "" {
			a.Wave, a.Host = v.Wave, name
			actions = append(actions, a)
		}
	}
	slices.SortFunc(actions, func(a, b Action) int { return a.Host.Compare(b.Host) })
	return actions
}

func (v view) observe(name proto.HostName, p Progress, h Host) Action {
	if p.renewed(h) && h.Reported == h.Serial {
		return Action{Kind: Renew, Serial: h.Serial}
	}
	verdict := p.verdict(h)
	settled := p.State == Settled && p.Verdict == verdict
	switch {
	case settled && !p.Doubted.IsZero():
		return Action{Kind: Doubt}
	case settled:
	case doubtful(verdict, h) && p.Doubted.IsZero():
		return Action{Kind: Doubt}
	case doubtful(verdict, h) && v.now.Before(p.Doubted.Add(doubt)):
	case final(verdict):
		return Action{Kind: Settle, Verdict: verdict}
	case p.State != Published || v.held(name) != "":
	case h.Defers && h.Reported == p.Serial && (v.quiet(p, h) || !v.now.Before(p.Since.Add(patience))):
		return Action{Kind: Defer}
	case v.quiet(p, h):
		return Action{Kind: Silence, Offline: v.wasOffline(p, h)}
	}
	return Action{}
}

// quiet reports whether h has said nothing for too long.
func (v view) quiet(p Progress, h Host) bool {
	if v.SilentAfter == 0 || h.Silent && v.wasOffline(p, h) {
		return h.Silent // whether it can be heard is known much sooner than what becomes of an assignment
	}
	return !v.now.Before(v.lastWord(p, h).Add(v.SilentAfter))
}

// lastWord returns when h, which was published to, has said something last, or was asked.
func (v view) lastWord(p Progress, h Host) time.Time {
	since := later(p.Since, v.fleet.Since)
	if h.Reported == p.Serial {
		since = later(since, h.Seen)
	}
	return since
}

// wasOffline reports whether h, which is quiet, was so for as long before it was published
// to, by a controller that had not listened for long enough to know.
//
// A host that is well may have said nothing since its last heartbeat. Where nobody remembers
// that, whoever published to it before knew.
func (v view) wasOffline(p Progress, h Host) bool {
	if v.lost(p, h) && p.Since.Before(v.fleet.Since) {
		return false
	}
	quiet := max(v.SilentAfter, proto.HeartbeatMaxInterval)
	return v.SilentAfter > 0 && h.Reported != p.Serial && h.Seen.Before(p.Since.Add(-quiet))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// held returns why nothing is published for a host, or nothing.
func (v view) held(name proto.HostName) string {
	if why := v.fleet.Hosts[name].Held; why != "" {
		return why
	}
	return v.Hosts[name].Held()
}

// moving reports whether a host that may go would be published to.
func (v view) moving(name proto.HostName) bool {
	p, h := v.Hosts[name], v.fleet.Hosts[name]
	return p.State == Waiting && !p.has(h) && !p.overtaken(h) && v.held(name) == ""
}

// free returns how many more of wave may be at work; negative if any number may.
func (v view) free(wave Wave) int {
	if wave.MaxInFlight.IsZero() {
		return -1
	}
	return max(wave.limit()-v.atWork(), 0)
}

// atWork returns how many hosts were published to, and are waited for.
func (v view) atWork() (n int) {
	for name, p := range v.Hosts {
		if p.State == Published && v.held(name) == "" {
			n++
		}
	}
	return n
}

// through reports whether nobody need wait for a host any more.
func (v view) through(name proto.HostName) bool {
	switch v.Hosts[name].State {
	case Waiting, Published:
		return v.held(name) != ""
	case Settled, Silent, Deferred, Offline:
	}
	return true
}

// proven reports whether one of hosts, which are through, has succeeded, or none can any
// more but by a person's doing. A canary that waits for something of its own shows nothing
// yet.
func (v view) proven(hosts []proto.HostName) bool {
	return !slices.ContainsFunc(hosts, v.defers) ||
		slices.ContainsFunc(hosts, func(h proto.HostName) bool { return v.Hosts[h].charge() == success })
}

// defers reports whether a host waits for something of its own, and may go on by itself.
func (v view) defers(name proto.HostName) bool {
	return v.Hosts[name].State == Deferred && v.held(name) == ""
}

// absent reports whether hosts are through, and some of them wait for something of their
// own, none of which can be heard.
func (v view) absent(hosts []proto.HostName) bool {
	return slices.ContainsFunc(hosts, v.defers) && !slices.ContainsFunc(hosts, func(h proto.HostName) bool {
		return !v.through(h) || v.defers(h) && v.fleet.Hosts[h].online()
	})
}

// soaked returns until when those of wave soak who may go, and whether all of them
// are through.
func (v view) soaked(wave Wave) (until time.Time, through bool) {
	soak := wave.Soak
	if wave.canarying() {
		soak = wave.CanarySoak
	}
	for _, name := range wave.stage() {
		if !v.through(name) {
			return time.Time{}, false
		}
		if from := v.Hosts[name].soaks(); !from.IsZero() {
			until = later(until, from.Add(soak))
		}
	}
	return until, !wave.canarying() || v.proven(wave.Canary)
}
