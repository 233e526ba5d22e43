package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kedge/e2e/fleet"
	"kedge/e2e/toplevel"
	"kedge/proto"
)

// A flow is a way for a change to reach hosts.
type flow string

// The flows.
const (
	byKedge flow = "kedge"
	byHand  flow = "manual"         // the hosts side by side
	inTurn  flow = "manual in turn" // one host after the other
)

// few and all are how many hosts a change goes to.
const (
	few = 1
	all = 4
)

// roundTimeout bounds one round.
const roundTimeout = 3 * time.Minute

// A round is one change that went to some hosts, measured.
type round struct {
	flow  flow
	hosts int
	// activated is from the push, or before the build by hand, until the last
	// host's service answers its new text.
	activated time.Duration
	// committed is from the push until the last host has it on its disk. Zero by hand.
	committed time.Duration
	// lag is how long a host took to commit after the grace period, at worst. Zero by hand.
	lag time.Duration
	// cpu is the processor time that a host used for it, on average.
	cpu time.Duration
	// parts are of the host that answered last.
	parts map[part]time.Duration
}

// A bench has a fleet to measure, where both flows work.
type bench struct {
	fleet *fleet.Fleet
	say   func(string)
	texts int // how many there were
}

func newBench(ctx context.Context, f *fleet.Fleet, say func(string)) (*bench, error) {
	b := &bench{fleet: f, say: say}
	return b, b.openConnections(ctx)
}

// run measures n rounds of everything.
//
// Of one host there is no turn. After a round by hand the agents take what runs for proven, but how it boots
// they do not know, and see to that in their next deployment. That one is not
// counted: it is not what happens from one revision to the next.
func (b *bench) run(ctx context.Context, n int) ([]round, error) {
	b.say("warm up")
	for _, flow := range []flow{byKedge, byHand, byKedge} {
		if _, err := b.round(ctx, flow, all); err != nil {
			return nil, err
		}
	}
	var rounds []round
	for i := range n {
		for _, flows := range []struct {
			hosts int
			flows []flow
		}{{few, []flow{byKedge, byHand}}, {all, []flow{byKedge, byHand, inTurn}}} {
			for _, flow := range flows.flows {
				r, err := b.round(ctx, flow, flows.hosts)
				if err != nil {
					return nil, err
				}
				b.say(fmt.Sprintf("round %d of %d, %s, hosts: %d: activated after %.2f s", i+1, n, flow, flows.hosts, r.activated.Seconds()))
				rounds = append(rounds, r)
			}
			if _, err := b.round(ctx, byKedge, flows.hosts); err != nil {
				return nil, err
			}
		}
	}
	return rounds, nil
}

// round changes the text of n hosts' service, and measures how that reaches them.
func (b *bench) round(ctx context.Context, flow flow, n int) (round, error) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	b.texts++
	c := change{hosts: b.fleet.Hosts()[:n], text: fmt.Sprintf("text %d, %s", b.texts, flow)}
	var err error
	c.revision, err = b.fleet.Commit(ctx, c.text, func(w *toplevel.Fleet) {
		fleet.Edit(w, fleet.App(c.text), c.names()...)
	})
	if err != nil {
		return round{}, err
	}
	var r round
	if flow == byKedge {
		r, err = b.measureKedge(ctx, c)
	} else {
		r, err = b.measureManual(ctx, c, flow)
	}
	if err == nil {
		err = c.check(ctx)
	}
	if err != nil {
		return round{}, fmt.Errorf("%s, hosts: %d: %w", c.text, n, err)
	}
	r.flow, r.hosts = flow, n
	return r, nil
}

// A change is committed in git and on its way to some hosts.
type change struct {
	hosts    []*fleet.Host
	text     string // that their service is to answer
	revision proto.Revision
}

func (c change) names() []string {
	var names []string
	for _, h := range c.hosts {
		names = append(names, h.Name())
	}
	return names
}

// check looks whether every host runs the change, and nothing else.
func (c change) check(ctx context.Context) error {
	for _, h := range c.hosts {
		f, err := h.Facts(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name(), err)
		}
		if !f.One() || f.App != c.text || !strings.Contains(f.Current, "-nixos-system-"+h.Name()+"-") {
			return fmt.Errorf("%s: not on the system with %q alone: %+v", h.Name(), c.text, f)
		}
	}
	return nil
}

// cpuTime returns how much processor time the hosts have used, on average.
func (c change) cpuTime() (time.Duration, error) {
	var sum time.Duration
	for _, h := range c.hosts {
		d, err := h.CPUTime()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum / time.Duration(len(c.hosts)), nil
}
