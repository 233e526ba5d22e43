package rollout

import (
	"time"

	"kedge/proto"
)

// A Fleet is what the controller knows of its hosts, and what people said about
// all of them.
type Fleet struct {
	// Hosts are those that are known. A host that is missing was never heard of.
	Hosts map[proto.HostName]Host
	// Since is from when on hosts are listened to: no silence is longer. A rollout
	// is not asked for before everything that hosts had said until then is known.
	Since time.Time
	// Frozen is why nothing new goes out, whatever a spec says; empty if it does.
	Frozen string
}

// A Host is one host of the fleet as far as rollouts look at it.
type Host struct {
	// Toplevel, Release and Serial are what was last published for the host, by any
	// rollout or person; zero before the first time.
	Toplevel proto.StorePath
	Release  proto.Digest
	Serial   proto.Serial
	// Reported and Verdict are what the host last said: of which assignment,
	// and what it came to.
	Reported proto.Serial
	Verdict  proto.Verdict
	// Retries is true if the host tries again by itself what came to Verdict.
	Retries bool
	// Defers is true if the host says that it waits for something of its own, such as
	// a window or a person, before it goes on with Reported.
	Defers bool
	// Seen is when the host was last heard of; zero if it never was, or nobody
	// remembers.
	Seen time.Time
	// Silent is true when the host counts as offline: it was not heard of for some
	// time, though hosts are listened to for as long.
	Silent bool
	// Held is why nothing is to be published for the host: a person wants that, or
	// another channel claims it, say; empty if something may be. The spec's holds are
	// in the rollout.
	Held string
}

// known reports whether h is more than a name: it was heard of, or given
// something before.
func (h Host) known() bool { return !h.Seen.IsZero() || h.Serial > 0 }

// online reports whether h can be heard.
func (h Host) online() bool { return h.known() && !h.Silent }
