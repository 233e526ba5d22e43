package proto_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kedge/proto"
)

// Every parser: what it accepts satisfies the invariant of its type, prints as
// it was written, and parses again.

func fuzzText[T comparable](f *testing.F, parse func(string) (T, error), print func(T) string, invariant *regexp.Regexp, wrapped error, seeds ...string) {
	f.Helper()
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parse(s)
		if err != nil {
			if !errors.Is(err, wrapped) {
				t.Errorf("parse %q: got error %v, want %v", s, err, wrapped)
			}
			return
		}
		if !invariant.MatchString(print(v)) {
			t.Errorf("parse %q: got %q, which does not match %s", s, print(v), invariant)
		}
		if print(v) != strings.TrimSpace(s) {
			t.Errorf("parse %q: prints as %q", s, print(v))
		}
		if again, err := parse(print(v)); err != nil || again != v {
			t.Errorf("parse %q again: got %v, %v", print(v), again, err)
		}
	})
}

func FuzzParseHostName(f *testing.F) {
	fuzzText(f, proto.ParseHostName, proto.HostName.String, regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z`), proto.ErrInvalidHostName,
		"web1", "a", "web--1", "-web", "web-", "Web", "a.b", ">", "*", "..", strings.Repeat("a", 63), strings.Repeat("a", 64), "web1\n")
}

func FuzzParseStorePath(f *testing.F) {
	fuzzText(f, proto.ParseStorePath, proto.StorePath.String,
		regexp.MustCompile(`\A/nix/store/[0-9a-df-np-sv-z]{32}-[0-9a-zA-Z+._?=-]{1,211}\z`), proto.ErrInvalidStorePath,
		toplevelText, otherText, toplevelText+"/bin", toplevelText+"\n", "/nix/store/", "/nix/store/../x",
		strings.Replace(toplevelText, "-nixos", "-.nixos", 1), strings.Replace(toplevelText, "-nixos", "-.-nixos", 1))
}

func FuzzParseRevision(f *testing.F) {
	fuzzText(f, proto.ParseRevision, proto.Revision.String, regexp.MustCompile(`\A([0-9a-f]{40}|[0-9a-f]{64})\z`), proto.ErrInvalidRevision,
		revisionText, strings.Repeat("0", 64), strings.Repeat("0", 52), "main", "HEAD", strings.ToUpper(revisionText))
}

func FuzzParseDigest(f *testing.F) {
	fuzzText(f, proto.ParseDigest, proto.Digest.String, regexp.MustCompile(`\Asha256:[0-9a-f]{64}\z`), proto.ErrInvalidDigest,
		proto.DigestOf(nil).String(), "sha256:", "sha512:00", strings.ToUpper(proto.DigestOf(nil).String()))
}

func FuzzParsePublicKey(f *testing.F) {
	fuzzText(f, proto.ParsePublicKey, proto.PublicKey.String, regexp.MustCompile(`\A[!-9;-~]{1,128}:[A-Za-z0-9+/]{43}=\z`), proto.ErrInvalidKey,
		nixPublic, nixSecret, "\n"+nixPublic+"\n", nixPublic[:20]+"\n"+nixPublic[20:], ":", "a:", "a:"+strings.Repeat("A", 43)+"=")
}

func FuzzParseSecretKey(f *testing.F) {
	for _, s := range []string{nixSecret, nixPublic, nixSecret + "\n", nixSecret[:20] + "\n" + nixSecret[20:], ":", "a:" + strings.Repeat("A", 86) + "=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := proto.ParseSecretKey(s)
		if err != nil {
			if !errors.Is(err, proto.ErrInvalidKey) || !k.IsZero() {
				t.Errorf("got %v, error %v, want %v", k, err, proto.ErrInvalidKey)
			}
			return
		}
		if k.Reveal() != strings.TrimSpace(s) {
			t.Errorf("the key changed")
		}
		e := proto.Seal(proto.PayloadRelease, []byte(s), k)
		if _, err := e.Open(proto.PayloadRelease, []proto.PublicKey{k.Public()}, 1); err != nil {
			t.Errorf("open what %v sealed: %v", k, err)
		}
	})
}

func FuzzHostOfSubject(f *testing.F) {
	for _, s := range []string{"kedge.v1.status.web1", "kedge.v1.get.desired.web1", "kedge.v1.", "web1", "kedge.v1.status.*", "kedge.v1.status."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := proto.HostOfSubject(s)
		if err == nil && (!strings.HasPrefix(s, "kedge.v1.") || !strings.HasSuffix(s, "."+h.String())) {
			t.Errorf("host of %q: got %s", s, h)
		}
	})
}

func FuzzParseClosure(f *testing.F) {
	for _, s := range []string{"", depLine, depLine + toplevelLine, toplevelLine + depLine, depLine + depLine, strings.TrimSpace(depLine), strings.Replace(depLine, "\n", "\r\n", 1)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := proto.ParseClosure(text)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrInvalidStorePath) {
				t.Errorf("parse %q: got error %v", text, err)
			}
			return
		}
		if got := c.Text(); !bytes.Equal(got, text) {
			t.Errorf("parse %q: written as %q", text, got)
		}
		if c.Digest() != proto.DigestOf(text) {
			t.Errorf("parse %q: digest is not that of the text", text)
		}
	})
}

// addGolden seeds f with the golden files that match pattern.
func addGolden(f *testing.F, pattern string) {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		f.Fatalf("no golden file matches %s: %v", pattern, err)
	}
	for _, name := range names {
		f.Add(golden(f, filepath.Base(name)))
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":2}`))
}

// fuzzMessage checks that whatever parse accepts is written and read again as
// the same, and that it refuses with errors that callers know.
func fuzzMessage[T any](f *testing.F, pattern string, limit int, parse func([]byte) (T, error), encode func(T) ([]byte, error), host func(T) proto.HostName) {
	f.Helper()
	addGolden(f, pattern)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrUnknownFormat) && !errors.Is(err, proto.ErrOversized) {
				t.Errorf("parse %q: got error %v", b, err)
			}
			return
		}
		if len(b) > limit || host(v).IsZero() {
			t.Errorf("accepted %d bytes for host %q: %q", len(b), host(v), b)
		}
		written, err := encode(v)
		if errors.Is(err, proto.ErrOversized) {
			return // JSON of other people may be tighter than ours
		}
		if err != nil {
			t.Fatalf("encode %+v: %v", v, err)
		}
		again, err := parse(written)
		if err != nil {
			t.Fatalf("parse %q again: %v", written, err)
		}
		if d := cmp.Diff(v, again, values, cmpopts.EquateEmpty()); d != "" && len(written) < limit/8 {
			t.Errorf("parse again (-first +second):\n%s", d)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	fuzzMessage(f, "status*.json", proto.MaxStatus, proto.ParseStatus, proto.Status.Encode, func(s proto.Status) proto.HostName { return s.Host })
}

func FuzzParseEvent(f *testing.F) {
	fuzzMessage(f, "event.json", proto.MaxEvent, proto.ParseEvent, proto.Event.Encode, func(e proto.Event) proto.HostName { return e.Host })
}

func FuzzParseLog(f *testing.F) {
	fuzzMessage(f, "log.json", proto.MaxLog, proto.ParseLog, proto.Log.Encode, func(l proto.Log) proto.HostName {
		if l.Deployment == "" || l.Toplevel.IsZero() || l.Part < 1 || l.Part > l.Parts || l.Parts > proto.MaxLogs {
			return proto.HostName{}
		}
		return l.Host
	})
}

func FuzzParseHeartbeat(f *testing.F) {
	fuzzMessage(f, "heartbeat.json", proto.MaxHeartbeat, proto.ParseHeartbeat, proto.Heartbeat.Encode, func(h proto.Heartbeat) proto.HostName { return h.Host })
}

func FuzzParseAuditEntry(f *testing.F) {
	anyHost := host(f, "web1") // an entry need not name one
	fuzzMessage(f, "audit-entry.json", proto.MaxAudit, proto.ParseAuditEntry, proto.AuditEntry.Encode, func(proto.AuditEntry) proto.HostName { return anyHost })
}

// Neither names a host: the subject does.

func FuzzParseLeaseRequest(f *testing.F) {
	anyHost := host(f, "web1")
	fuzzMessage(f, "lease-request*.json", proto.MaxLease, proto.ParseLeaseRequest, proto.LeaseRequest.Encode, func(r proto.LeaseRequest) proto.HostName {
		if r.Action != proto.LeaseAcquire && r.Action != proto.LeaseRelease || len(r.Deployment) > proto.MaxLeaseDeployment {
			return proto.HostName{}
		}
		return anyHost
	})
}

func FuzzParseLeaseReply(f *testing.F) {
	anyHost := host(f, "web1")
	fuzzMessage(f, "lease-reply*.json", proto.MaxLease, proto.ParseLeaseReply, proto.LeaseReply.Encode, func(proto.LeaseReply) proto.HostName { return anyHost })
}

func FuzzParseRenewRequest(f *testing.F) {
	anyHost := host(f, "web1")
	fuzzMessage(f, "renew-request.json", proto.MaxRenew, proto.ParseRenewRequest, proto.RenewRequest.Encode, func(r proto.RenewRequest) proto.HostName {
		if r.PublicKey == "" {
			return proto.HostName{}
		}
		return anyHost
	})
}

func FuzzParseRenewReply(f *testing.F) {
	anyHost := host(f, "web1")
	fuzzMessage(f, "renew-reply*.json", proto.MaxRenew, proto.ParseRenewReply, proto.RenewReply.Encode, func(proto.RenewReply) proto.HostName { return anyHost })
}

// A desired state that was changed on its way is refused, or says what was
// signed.
func FuzzDesiredVerify(f *testing.F) {
	addGolden(f, "desired*.json")
	tr, web1 := trust(f), host(f, "web1")
	signed := desired(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := proto.ParseDesired(b)
		if err != nil {
			if proto.RefusalOf(err).Reason == "" {
				t.Errorf("parse %q: error without a reason: %v", b, err)
			}
			return
		}
		lost, err := d.Verify(tr, web1, proto.Floor{Challenge: challenge}, issued)
		if lost.Floor.Challenge == "" && lost.Floor.Serial < 7 {
			t.Errorf("verify %q: a lost floor became %+v, error %v", b, lost.Floor, err)
		}
		floor := proto.Floor{Serial: 7, Issued: issued, Latest: issued}
		order, err := d.Verify(tr, web1, floor, issued)
		checkNotBelow(t, order.Floor, floor)
		if err != nil {
			if _, ok := errors.AsType[*proto.RefusalError](err); !ok {
				t.Errorf("verify %q: got error %v, want a refusal", b, err)
			}
			return
		}
		if !bytes.Equal(d.Release.Payload, signed.Release.Payload) || !bytes.Equal(d.Assignment.Payload, signed.Assignment.Payload) {
			t.Errorf("accepted what nobody signed: %q", b)
		}
	})
}

// An envelope opens for its type and its bytes only.
func FuzzEnvelopeOpen(f *testing.F) {
	key := releaseKey(f)
	payload := []byte(`{"format":1}`)
	good := proto.Seal(proto.PayloadRelease, payload, key).Signatures[0]
	f.Add(string(proto.PayloadRelease), payload, good.KeyID, good.Sig)
	f.Add(string(proto.PayloadAssignment), payload, good.KeyID, good.Sig)
	f.Add(string(proto.PayloadRelease), payload, "", good.Sig)
	f.Add(string(proto.PayloadRelease), []byte(nil), good.KeyID, []byte(nil))
	trusted := []proto.PublicKey{{}, key.Public(), secretKey(f, "other", 8).Public()}
	f.Fuzz(func(t *testing.T, typ string, p []byte, id string, sig []byte) {
		e := proto.Envelope{PayloadType: proto.PayloadType(typ), Payload: p, Signatures: []proto.Signature{{KeyID: id, Sig: sig}}}
		for _, want := range []proto.PayloadType{proto.PayloadRelease, proto.PayloadAssignment, proto.PayloadWithdrawals, e.PayloadType} {
			got, err := e.Open(want, trusted, 1)
			if err != nil {
				if !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrUnknownKey) && !errors.Is(err, proto.ErrBadSignature) {
					t.Errorf("open: got error %v", err)
				}
				continue
			}
			if !bytes.Equal(got, payload) || want != proto.PayloadRelease || id != key.Public().Name() || !bytes.Equal(sig, good.Sig) {
				t.Errorf("opened what nobody signed: %+v", e)
			}
		}
	})
}

// What is read from a file is read again as the same, and shows what was signed.
func FuzzParseEnvelope(f *testing.F) {
	addGolden(f, "envelope.*.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := proto.ParseEnvelope(b)
		if err != nil {
			if !errors.Is(err, proto.ErrMalformed) && !errors.Is(err, proto.ErrOversized) {
				t.Errorf("parse %q: got error %v", b, err)
			}
			return
		}
		if r, err := proto.ReadRelease(e); err == nil && (r.Host.IsZero() || r.Toplevel.IsZero() || e.PayloadType != proto.PayloadRelease) {
			t.Errorf("read %+v from %q", r, b)
		}
		written, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := proto.ParseEnvelope(written); len(written) <= proto.MaxDesired && (err != nil || !cmp.Equal(e, again, cmpopts.EquateEmpty())) {
			t.Errorf("parse again: got %+v, error %v, want %+v", again, err, e)
		}
	})
}
