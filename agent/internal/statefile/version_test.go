package statefile

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

// version1 has the documents as the first version wrote them, to be read by
// every later one. They are never written anew: what does not read them cannot
// take a host over, or give it back.
const version1 = "testdata/1"

// TestWhatTheFirstVersionWroteIsRead reads each document twice: as it is, and as
// a later version may write it within the same format.
func TestWhatTheFirstVersionWroteIsRead(t *testing.T) {
	for _, later := range []bool{false, true} {
		d := newDir(t)
		for dir, names := range map[string][]string{
			d.State:   {DeploymentFile, floorFile, provenFile, quarantineFile, suspensionFile, historyFile},
			d.Runtime: {ContactFile},
		} {
			for _, name := range names {
				b, err := os.ReadFile(filepath.Join(version1, name))
				if err != nil {
					t.Fatal(err)
				}
				if later {
					b = extended(t, b)
				}
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		record := recordOf1(t)
		reads(t, "record", d.Deployment, record)
		reads(t, "floor", d.Floor, proto.Floor{
			Serial: 7, Issued: noon, Latest: noon.Add(time.Hour), Withdrawn: []proto.Digest{proto.DigestOf([]byte("x"))}, WithdrawalSerial: 2,
		})
		reads(t, "proven", d.Proven, record.Proven)
		reads(t, "quarantines", func() ([]Quarantine, error) { return d.Quarantines(noon) }, []Quarantine{
			{Toplevel: record.Toplevel, Reason: proto.ReasonUnitsFailed, Since: noon, Until: noon.Add(QuarantineLifetime)},
		})
		reads(t, "suspension", d.Suspension, Suspension{Since: noon, Until: noon.Add(time.Hour), Reason: "disk swap", By: "ada"})
		reads(t, "history", d.History, History{Deployments: []Past{NewPast(record)}})
		reads(t, "contact", d.Contact, Contact{
			InvocationID: "0123456789abcdef0123456789abcdef", BootID: "b1", PID: 42, Version: "1.0.0", Serial: 7, Accepted: true, Reason: proto.ReasonExpired, At: noon,
		})
	}
}

// reads fails unless that is what is read.
func reads[T any](t *testing.T, what string, read func() (T, error), want T) {
	t.Helper()
	got, err := read()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if diff := cmp.Diff(want, got, compareValues); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// recordOf1 is the record of [version1], with something in every member.
func recordOf1(t *testing.T) deployment.Deployment {
	t.Helper()
	revision, err := proto.ParseRevision("0123456789abcdef0123456789abcdef01234567")
	if err != nil {
		t.Fatal(err)
	}
	failed := []proto.FailedUnit{{Name: "app.service", Log: []string{"out of frobnicators"}}}
	return deployment.Deployment{
		ID: "7-x", Attempt: 2, Interrupted: 1, Serial: 7, Release: proto.DigestOf([]byte("release")), Toplevel: parse(t, pathB), Revision: revision,
		Proven: deployment.Proven{Toplevel: parse(t, pathA), Generation: 3, Revision: revision, Adopted: true, Since: noon},
		Agent:  pathA + "/sw/bin/kedge-agent",
		Probation: deployment.Probation{
			Grace: time.Second, Deadline: time.Minute, IgnoreUnits: []string{"noise-*.service"},
			Checks: []deployment.Check{
				{
					Name: "web", Required: true, StartDelay: time.Second, Interval: 2 * time.Second, Timeout: 3 * time.Second, Retries: 4, Successes: 5,
					HTTP: &deployment.HTTPCheck{
						URL: "https://localhost/", Status: []int{200}, Body: "ok", Headers: []deployment.HTTPHeader{{Name: "Host", Value: "a"}}, CAFile: "/ca", Insecure: true,
					},
				},
				{Name: "unit", Unit: "app.service", Before: deployment.BeforePassed},
				{Name: "port", TCP: "localhost:80", Before: deployment.BeforeFailed},
				{Name: "script", Exec: []string{"/bin/check", "-x"}},
			},
		},
		Reboot: []string{"kernel"}, HooksAgreed: true,
		RollbackProbation: deployment.Probation{Grace: time.Second, Deadline: time.Minute},
		ActivationTimeout: 10 * time.Minute,
		Phase:             proto.PhaseRolledBack, Reason: proto.ReasonUnitsFailed, Message: "app.service failed", Failed: failed,
		Started: noon, Since: noon.Add(time.Minute),
		History: []deployment.Step{
			{Phase: proto.PhaseAccepted, Time: noon},
			{Phase: proto.PhaseRollingBack, Time: noon.Add(time.Second), Reason: proto.ReasonUnitsFailed, Message: "app.service failed", Failed: failed},
			{Phase: proto.PhaseRolledBack, Time: noon.Add(time.Minute), Reason: proto.ReasonUnitsFailed},
		},
		FailedBefore: []string{"old.service"}, RestartingBefore: []string{"flapping.service"},
		BootID: "b1", Activated: parse(t, pathA), Activations: 1, CommitActivations: 2, RollbackActivations: 3,
		Checks:     []proto.CheckResult{{Name: "web", Passed: true, Required: true, Message: "refused", Time: noon, Duration: time.Second}},
		Registered: true, Generation: 4,
	}
}

// extended returns a document with one more member in each of its objects.
func extended(t *testing.T, b []byte) []byte {
	t.Helper()
	var document any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		t.Fatal(err)
	}
	extend(document)
	b, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func extend(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, w := range v {
			extend(w)
		}
		v["unheard_of"] = []any{map[string]any{}}
	case []any:
		for _, w := range v {
			extend(w)
		}
	}
}

// TestAReasonOfALaterVersionIsKept: reasons may be added within a format.
func TestAReasonOfALaterVersionIsKept(t *testing.T) {
	d := newDir(t)
	record := recordOf1(t)
	record.Reason = "unheard-of"
	record.History[1].Reason = "unheard-of"
	if err := d.Save(record); err != nil {
		t.Fatal(err)
	}
	if err := d.Remember(NewPast(record), unasked); err != nil {
		t.Fatal(err)
	}
	reads(t, "record", d.Deployment, record)
	reads(t, "history", d.History, History{Deployments: []Past{NewPast(record)}})
}
