package controller

import (
	"crypto/rand"
	"testing"

	"kedge/proto"
)

// Whom a host trusts counts once what it runs is proven, in whatever specialisation.
func TestTrustCountsOnceItIsProven(t *testing.T) {
	key, err := proto.GenerateKey("controller-2", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pathA, pathB := storePath(t, "a"), storePath(t, "b")
	for name, c := range map[string]struct {
		systems proto.Systems
		verdict proto.Verdict
		want    int
	}{
		"proven":                          {systems: proto.Systems{Current: pathA, Profile: pathA, Proven: pathA}, want: 1},
		"in a specialisation":             {systems: proto.Systems{Current: pathB, Specialisation: "docked", Profile: pathA, Proven: pathA}, want: 1},
		"in probation":                    {systems: proto.Systems{Current: pathA, Profile: pathA, Proven: pathA}, verdict: proto.VerdictPending},
		"something else":                  {systems: proto.Systems{Current: pathB, Profile: pathA, Proven: pathA}},
		"a specialisation of another one": {systems: proto.Systems{Current: pathB, Specialisation: "docked", Profile: pathB, Proven: pathA}},
	} {
		t.Run(name, func(t *testing.T) {
			status := &proto.Status{
				Systems: c.systems, Deployment: proto.DeploymentStatus{Verdict: c.verdict},
				Trust: proto.Trust{ControllerKeys: []proto.PublicKey{key.Public()}}.Status(),
			}
			s := judgeKey(key.Public(), proto.KeyController, []proto.PublicKey{key.Public()}, []proto.HostView{{Status: status}})
			if s.Trusted != c.want || len(s.Lacking) != 1-c.want {
				t.Errorf("trusted by %d, lacked by %v; want %d", s.Trusted, s.Lacking, c.want)
			}
		})
	}
}
