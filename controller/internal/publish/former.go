package publish

import (
	"fmt"

	"kedge/proto"
)

// Former returns what is known of a toplevel that a host was to run before, or is to
// run: what a release says that gives it back. It is not known of all that ever was
// published. What was assigned under a release that was withdrawn, which may be named
// if it is known, is not given back; that is an error that wraps [ErrWithdrawn].
func (p *Publisher) Former(name proto.HostName, toplevel proto.StorePath, release proto.Digest) (f Former, known bool, err error) {
	if p.withdrawals.has(release) {
		return Former{}, false, withdrawn(name, toplevel, release)
	}
	h := p.host(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range append([]Former{h.record.former()}, h.record.Before...) {
		if f.Toplevel != toplevel || f.Closure.IsZero() {
			continue
		}
		if p.withdrawals.has(f.Release) {
			return Former{}, false, withdrawn(name, toplevel, f.Release)
		}
		return f, true, nil
	}
	return Former{}, false, nil
}

func withdrawn(name proto.HostName, toplevel proto.StorePath, release proto.Digest) error {
	return fmt.Errorf("give %s back to %s: %w: %s", toplevel.Base(), name, ErrWithdrawn, release)
}
