package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"kedge/proto"
)

// errCollected is wrapped by why a host failed whose derivation the store has no more.
var errCollected = errors.New("what it is built from was collected as garbage before it was built")

// collected returns the hosts that failed for that, sorted, but for those of without.
func collected(failed map[proto.HostName]error, without []proto.HostName) (hosts []proto.HostName) {
	for _, host := range slices.SortedFunc(maps.Keys(failed), proto.HostName.Compare) {
		if errors.Is(failed[host], errCollected) && !slices.Contains(without, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// remake evaluates hosts again, whose derivations were collected, and returns what they
// evaluate to. It takes them out of failed, but for those that do not evaluate any more.
//
// Derivations have no roots: these could only be made after an evaluation has ended, which
// may be too late as well. What builds keeps a derivation from the moment that it has it.
func (b *Builder) remake(ctx context.Context, flakeRef string, hosts []proto.HostName, failed map[proto.HostName]error) (map[proto.HostName]Evaluation, error) {
	b.o.Log.WarnContext(ctx, "derivations were collected before they were built; their hosts are evaluated again", "hosts", len(hosts))
	result := Evaluations{Hosts: make(map[proto.HostName]Evaluation), Failed: make(map[proto.HostName]*HostError)}
	if err := b.each(ctx, flakeRef, hosts, result); err != nil {
		return nil, err
	}
	for host, why := range result.Failed {
		failed[host] = fmt.Errorf("%w; and evaluated again: %w", failed[host], why)
	}
	for host, e := range result.Hosts {
		delete(failed, host)
		if err := b.Root(host, e.Toplevel); err != nil { // it is another one where the reference may mean another flake now
			return nil, err
		}
	}
	return result.Hosts, nil
}
