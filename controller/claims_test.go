package controller

import (
	"testing"
	"time"

	"kedge/proto"
)

func TestWhichHostIsGone(t *testing.T) {
	web1, now := host(t, "web1"), time.Now()
	for _, tt := range []struct {
		name string
		do   func(*Fleet)
		want bool
	}{
		{"one of which nothing is known", func(*Fleet) {}, true},
		{"one that had no system the last time", func(f *Fleet) { f.Trouble(web1, &proto.Problem{}) }, true},
		{"one that is revoked, whatever it was", func(f *Fleet) {
			f.Want(web1, proto.Target{Serial: 1})
			f.Apply(proto.Status{Host: web1}, now)
			f.Enrolled(web1, proto.HostKey{Revoked: now})
		}, true},
		{"not one that a channel has", func(f *Fleet) { f.Claim("other", []proto.HostName{web1}) }, false},
		{"not one that a channel has, though it is revoked", func(f *Fleet) {
			f.Claim("main", []proto.HostName{web1})
			f.Enrolled(web1, proto.HostKey{Revoked: now})
		}, false},
		{"not one that is assigned something", func(f *Fleet) { f.Want(web1, proto.Target{Serial: 1}) }, false},
		{"not one that is to be assigned something", func(f *Fleet) {
			f.Rolled(proto.RolloutShowReply{Rollout: proto.RolloutView{Channel: "main"}, Hosts: []proto.RolloutHost{{Host: web1, Waits: &proto.RolloutWait{}}}})
		}, false},
		{"not one that said what it runs", func(f *Fleet) { f.Apply(proto.Status{Host: web1}, now) }, false},
		{"not one that was heard of", func(f *Fleet) { f.Heard(web1, "", now) }, false},
		{"not one that was let in", func(f *Fleet) { f.Enrolled(web1, proto.HostKey{PublicKey: "UA"}) }, false},
		{"none while a channel was not deployed", func(f *Fleet) { f.Looked(proto.SourceStatus{Channel: "new"}) }, false},
		{"none while a channel cannot be", func(f *Fleet) { f.Looked(proto.SourceStatus{Channel: "other", Error: "unreachable"}) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFleet(time.Now)
			for _, channel := range []string{"main", "other"} {
				f.Looked(proto.SourceStatus{Channel: channel})
				f.Built(channel, revision(t, "1"))
				f.Claim(channel, nil)
			}
			tt.do(f)
			if f.Gone(web1) {
				t.Error("gone before it is known what hosts said")
			}
			f.CaughtUp()
			if got := f.Gone(web1); got != tt.want {
				t.Errorf("gone = %t, want %t", got, tt.want)
			}
		})
	}
}
