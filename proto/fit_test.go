package proto_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"kedge/proto"
)

// logLines is how many lines of log a talkative unit has at most.
const logLines = 20

// talkative returns n failed units, of which the first have up to n lines of log
// each, numbered, of text that JSON makes six times as long.
func talkative(n int) []proto.FailedUnit {
	units := make([]proto.FailedUnit, n)
	for i := range units {
		units[i].Name = fmt.Sprintf("unit-%d.service", i)
		for line := range min(n, logLines) {
			if i >= 10*logLines {
				break
			}
			units[i].Log = append(units[i].Log, fmt.Sprintf("%d%s", line, strings.Repeat("\x1b", 200)))
		}
	}
	return units
}

// A host with much to say is heard nevertheless.
func TestWhatIsEncodedIsNeverTooLongToBeRead(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 20, 300, 3000} {
		t.Run(fmt.Sprintf("%d failed units", n), func(t *testing.T) {
			status := exampleStatus(t)
			status.Deployment.Failed = talkative(n)
			status.Deployment.Checks = failingChecks(n)
			status.Deployment.Message = strings.Repeat("é", 50*n)
			status.Conditions[0].Message = strings.Repeat("ü", 50*n)
			b, err := status.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := proto.ParseStatus(b)
			if err != nil {
				t.Fatal(err)
			}
			checkShortened(t, got.Deployment.Failed, status.Deployment.Failed)
			checkShortenedChecks(t, got.Deployment.Checks, status.Deployment.Checks)
			if !utf8.ValidString(got.Deployment.Message) || got.Deployment.Phase != status.Deployment.Phase {
				t.Errorf("got %+v", got.Deployment)
			}

			event := exampleEvent(t)
			event.Failed = talkative(n)
			event.Message = status.Deployment.Message
			if b, err = event.Encode(); err != nil {
				t.Fatal(err)
			}
			gotEvent, err := proto.ParseEvent(b)
			if err != nil {
				t.Fatal(err)
			}
			checkShortened(t, gotEvent.Failed, event.Failed)
			if len(status.Deployment.Failed) != n || n > 0 && len(status.Deployment.Failed[0].Log) != min(n, logLines) ||
				len(status.Deployment.Checks) != n || n > 0 && len(status.Deployment.Checks[0].Message) != checkMessage {
				t.Error("the status itself was shortened")
			}
		})
	}
}

// What somebody did is in the audit, however much there is to say about it.
func TestAnAuditEntryIsNeverTooLongToBeRead(t *testing.T) {
	for _, n := range []int{0, 100, proto.MaxAudit, 100 * proto.MaxAudit} {
		e := proto.AuditEntry{Actor: "eve", Act: proto.RolloutActFreeze.Audit(), Message: strings.Repeat("é", n)}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := proto.ParseAuditEntry(b)
		if err != nil || got.Actor != e.Actor || !strings.HasPrefix(e.Message, strings.TrimSuffix(got.Message, "…")) || n <= 100 && got.Message != e.Message {
			t.Errorf("of %d bytes: %v, %d bytes by %q", len(e.Message), err, len(got.Message), got.Actor)
		}
	}
}

// checkShortened checks that got is the first of want's units with the newest
// of their lines, and all of them where there were few.
func checkShortened(t *testing.T, got, want []proto.FailedUnit) {
	t.Helper()
	if len(got) > len(want) || len(got) < min(len(want), 5) {
		t.Fatalf("%d units are left of %d", len(got), len(want))
	}
	for i, u := range got {
		all := want[i].Log
		if u.Name != want[i].Name || len(u.Log) > len(all) || len(want) <= 2 && len(u.Log) != len(all) {
			t.Fatalf("unit %d: got %s with %d lines, want %s with at most %d", i, u.Name, len(u.Log), want[i].Name, len(all))
		}
		for j, line := range u.Log {
			beginning, _ := strings.CutSuffix(line, "…")
			if !strings.HasPrefix(all[len(all)-len(u.Log)+j], beginning) || beginning != line && len(u.Log) > 1 {
				t.Fatalf("unit %d, line %d: got %q, not one of the newest", i, j, line)
			}
		}
	}
}

// checkMessage is how long the message of each failing check is.
const checkMessage = 400

func failingChecks(n int) []proto.CheckResult {
	checks := make([]proto.CheckResult, n)
	for i := range checks {
		checks[i] = proto.CheckResult{Name: fmt.Sprintf("check %d", i), Time: issued, Message: strings.Repeat("\x1b", checkMessage)}
	}
	return checks
}

// checkShortenedChecks checks that got is the first of want's results, and all
// of them as they were where there were few.
func checkShortenedChecks(t *testing.T, got, want []proto.CheckResult) {
	t.Helper()
	if len(got) > len(want) || len(got) < min(len(want), 5) {
		t.Fatalf("%d results are left of %d", len(got), len(want))
	}
	for i, c := range got {
		beginning, _ := strings.CutSuffix(c.Message, "…")
		if c.Name != want[i].Name || !c.Time.Equal(want[i].Time) || !strings.HasPrefix(want[i].Message, beginning) ||
			len(want) <= 1 && c.Message != want[i].Message {
			t.Fatalf("result %d: got %+v, want the beginning of %+v", i, c, want[i])
		}
	}
}

func TestTheNewestLinesAreKeptWhereNotAllFit(t *testing.T) {
	status := exampleStatus(t)
	status.Deployment.Failed = talkative(logLines)[:1]
	b, err := status.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := proto.ParseStatus(b)
	if err != nil {
		t.Fatal(err)
	}
	log := got.Deployment.Failed[0].Log
	if len(log) == 0 || len(log) == logLines || !strings.HasPrefix(log[len(log)-1], "19") {
		t.Errorf("got %d lines %q, want some, of which the last is number 19", len(log), log)
	}
}

func TestALineThatIsTooLongIsCutShort(t *testing.T) {
	event := exampleEvent(t)
	event.Failed = []proto.FailedUnit{{Name: "a.service", Log: []string{"old", strings.Repeat("x", proto.MaxEvent)}}}
	b, err := event.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := proto.ParseEvent(b)
	if err != nil {
		t.Fatal(err)
	}
	if log := got.Failed[0].Log; len(log) != 1 || len(log[0]) < 1000 || !strings.HasSuffix(log[0], "x…") {
		t.Errorf("got %.60q…, want the beginning of the newest line", log)
	}
}

func TestWhatCannotBeShortenedIsRefusedByTheSender(t *testing.T) {
	long := strings.Repeat("x", proto.MaxEvent)
	status := exampleStatus(t)
	status.Agent = long
	event := exampleEvent(t)
	event.ID = long
	d := desired(t)
	d.Release.Payload = []byte(long)
	_, serr := status.Encode()
	_, eerr := event.Encode()
	_, derr := d.Encode()
	for what, err := range map[string]error{"status": serr, "event": eerr, "desired state": derr} {
		if !errors.Is(err, proto.ErrOversized) {
			t.Errorf("%s: got error %v, want %v", what, err, proto.ErrOversized)
		}
	}
}

func TestAStatementThatNobodyWouldAcceptIsNotSigned(t *testing.T) {
	rel, as := release(t), assignment(t, sealedRelease(t, release(t)))
	badCache := as
	badCache.Caches = []string{"ssh://build"}
	userCache := as
	userCache.Caches = []string{"https://me:secret@build/cache/"}
	noHost := rel
	noHost.Host = proto.HostName{}
	noTime := as
	noTime.Expires = as.Issued
	for name, sign := range map[string]func(...proto.SecretKey) (proto.Envelope, error){
		"a release for no host":              noHost.Sign,
		"an assignment without a lifetime":   noTime.Sign,
		"an assignment with an odd cache":    badCache.Sign,
		"an assignment with a password":      userCache.Sign,
		"withdrawals without a serial":       proto.Withdrawals{Releases: []proto.Digest{as.Release}}.Sign,
		"withdrawals of the zero digest":     proto.Withdrawals{Serial: 1, Releases: []proto.Digest{{}}}.Sign,
		"nothing that was ever filled in, R": proto.Release{}.Sign,
		"nothing that was ever filled in, A": proto.Assignment{}.Sign,
	} {
		if e, err := sign(releaseKey(t)); !errors.Is(err, proto.ErrMalformed) {
			t.Errorf("%s: got %d signatures, error %v, want %v", name, len(e.Signatures), err, proto.ErrMalformed)
		}
	}
}
