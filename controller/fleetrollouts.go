package controller

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"kedge/proto"
)

// rolloutState is the rollout of a channel as it was last seen, and the version that
// changed it last.
type rolloutState struct {
	show    proto.RolloutShowReply
	version uint64
}

// Rolled notes how the current rollout of a channel is, and what its hosts wait for.
// Nobody may change what it was given.
func (f *Fleet) Rolled(s proto.RolloutShowReply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	channel := s.Rollout.Channel
	before, known := f.rollouts[channel]
	if known && reflect.DeepEqual(before.show, s) {
		return
	}
	f.wait(channel, before.show.Hosts, s.Hosts)
	f.bump(nil)
	f.rollouts[channel] = rolloutState{show: s, version: f.version}
}

// wait notes what hosts wait for in the rollout of a channel, after what they waited for
// before. Those that follow another one do not wait for it. The caller holds the mutex.
func (f *Fleet) wait(channel string, before, after []proto.RolloutHost) {
	waits := map[proto.HostName]*proto.RolloutWait{}
	for _, h := range before {
		waits[h.Host] = nil
	}
	for _, h := range after {
		waits[h.Host] = h.Waits
	}
	for name, w := range waits {
		h, known := f.hosts[name]
		if !known && w == nil || known && h.view.Channel != "" && h.view.Channel != channel {
			continue
		}
		if !known {
			h = f.add(name)
		}
		if !reflect.DeepEqual(h.view.Waits, w) {
			h.view.Waits = w
			f.bump(h)
		}
	}
}

// Rollouts returns the current rollout of every channel, sorted by channel.
func (f *Fleet) Rollouts() []proto.RolloutShowReply {
	f.mu.Lock()
	defer f.mu.Unlock()
	var shown []proto.RolloutShowReply
	for _, channel := range slices.Sorted(maps.Keys(f.rollouts)) {
		shown = append(shown, f.shown(channel))
	}
	return shown
}

// Rollout returns the current rollout of a channel; one without an ID if it has none.
func (f *Fleet) Rollout(channel string) proto.RolloutShowReply {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shown(channel)
}

// shown is [Fleet.Rollout]. The caller holds the mutex.
func (f *Fleet) shown(channel string) proto.RolloutShowReply {
	s := f.rollouts[channel]
	s.show.Version = s.version
	return s.show
}

// views returns what is said about rollouts where hosts are looked at. The caller holds
// the mutex.
func (f *Fleet) views() (views []proto.RolloutView) {
	for _, channel := range slices.Sorted(maps.Keys(f.rollouts)) {
		views = append(views, f.rollouts[channel].show.Rollout)
	}
	return views
}

// Stir wakes whoever waits for news: there are some that no host has to do with.
func (f *Fleet) Stir() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bump(nil)
}

// AwaitRollout is [Fleet.Await] for the rollout of one channel.
func (f *Fleet) AwaitRollout(ctx context.Context, channel string, after uint64) {
	f.await(ctx, func() bool { return f.rollouts[channel].version != after })
}
