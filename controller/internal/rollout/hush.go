package rollout

import (
	"fmt"
	"time"

	"kedge/proto"
)

// What counts as a hush over the fleet. Who was heard of within heardBefore of a
// rollout's beginning could be heard then; who was not for as long as forgotten is off,
// and no news; and a few hosts are always off.
const (
	heardBefore = time.Hour
	forgotten   = 24 * time.Hour
	few         = 4
)

// hush says that more of the rollout's hosts fell silent than may, of those that could be
// heard when it began, or since; empty if that is not so. Then it is not they who are
// off: something is between them and the controller, and whoever was published to would
// get it when that is over, all at once.
func (v view) hush() string {
	if v.MaxSilent.IsZero() {
		return ""
	}
	heard, silent := 0, 0
	for name, p := range v.Hosts {
		h := v.fleet.Hosts[name]
		switch {
		case !p.Heard && h.Seen.Before(v.Created), v.now.Sub(v.seen(p, h)) > forgotten, v.held(name) != "":
			continue
		case h.Silent:
			silent++
		}
		heard++
	}
	may := max(few, v.MaxSilent.Of(heard))
	if silent <= may {
		return ""
	}
	return fmt.Sprintf("%d of %d hosts that could be heard are silent, %d may be", silent, heard, may)
}

// seen returns when h was heard of last. Of one that could be heard when the rollout began,
// though nobody remembers that, it is when hosts began to be listened to.
func (v view) seen(p Progress, h Host) time.Time {
	if v.lost(p, h) {
		return v.fleet.Since
	}
	return h.Seen
}

// lost reports whether nobody remembers that h could be heard: the server lost what hosts
// had said.
func (v view) lost(p Progress, h Host) bool { return p.Heard && h.Seen.IsZero() }

// heardOf reports whether h was heard of shortly before the rollout begins that d
// describes.
func (d Draft) heardOf(name proto.HostName) bool {
	return d.Fleet.Hosts[name].Seen.After(d.Created.Add(-heardBefore))
}
