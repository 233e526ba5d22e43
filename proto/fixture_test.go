package proto_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"testing"
	"time"

	"kedge/proto"
)

// issued is when everything in these tests was issued, unless they say
// otherwise.
var issued = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

const (
	toplevelText = "/nix/store/s73vq4czw0wshq3dvvfg483ppwrgxrmm-nixos-system-web1"
	otherText    = "/nix/store/n53bm7gzq800hz2sv6bwq8h34ab26paw-nixos-system-web1"
	revisionText = "0123456789abcdef0123456789abcdef01234567"
)

// parsed returns parse(s), which must be valid.
func parsed[T any](t testing.TB, parse func(string) (T, error), s string) T {
	t.Helper()
	v, err := parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func host(t testing.TB, name string) proto.HostName {
	t.Helper()
	return parsed(t, proto.ParseHostName, name)
}

func toplevel(t testing.TB) proto.StorePath {
	t.Helper()
	return parsed(t, proto.ParseStorePath, toplevelText)
}

// secretKey returns a key that is the same in every run, and another one for
// every seed.
func secretKey(t testing.TB, name string, seed byte) proto.SecretKey {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return parsed(t, proto.ParseSecretKey, name+":"+base64.StdEncoding.EncodeToString(key))
}

func releaseKey(t testing.TB) proto.SecretKey    { t.Helper(); return secretKey(t, "release-1", 1) }
func controllerKey(t testing.TB) proto.SecretKey { t.Helper(); return secretKey(t, "controller-1", 2) }

// trust is what web1's configuration says in these tests.
func trust(t testing.TB) proto.Trust {
	t.Helper()
	return proto.Trust{
		ReleaseKeys:    []proto.PublicKey{releaseKey(t).Public()},
		ControllerKeys: []proto.PublicKey{controllerKey(t).Public()},
	}
}

func release(t testing.TB) proto.Release {
	t.Helper()
	return proto.Release{
		Host: host(t, "web1"), Serial: 3, Toplevel: toplevel(t),
		Revision: parsed(t, proto.ParseRevision, revisionText),
		Closure:  closure(t).Digest(),
	}
}

func closure(t testing.TB) proto.Closure {
	t.Helper()
	return proto.Closure{
		{Path: toplevel(t), NarHash: "sha256:18l2zj8v9v7ywhnxhbvn50dldj0h6nzfi1nii2xd79nkj6ivx2cm", NarSize: 288},
		{Path: parsed(t, proto.ParseStorePath, "/nix/store/l5dy09bbwcaa45ga041fzywsrdmvnm61-dep"), NarHash: "sha256:1sxv7za2zgxizz0mbdvnywndr4n4p8fic3ykrkj53cncmjjkylmy", NarSize: 168},
	}
}

func sealedRelease(t testing.TB, r proto.Release) proto.Envelope {
	t.Helper()
	e, err := r.Sign(releaseKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// assignment assigns what is in rel to web1.
func assignment(t testing.TB, rel proto.Envelope) proto.Assignment {
	t.Helper()
	return proto.Assignment{
		Host: host(t, "web1"), Serial: 7,
		Issued: issued, Expires: issued.Add(proto.AssignmentLifetime),
		Release: proto.DigestOf(rel.Payload),
		Caches:  []string{"http://build:8080/cache/"},
	}
}

func sealedAssignment(t testing.TB, a proto.Assignment) proto.Envelope {
	t.Helper()
	e, err := a.Sign(controllerKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func sealedWithdrawals(t testing.TB, serial proto.Serial, releases ...proto.Digest) *proto.Envelope {
	t.Helper()
	e, err := proto.Withdrawals{Serial: serial, Issued: issued, Releases: releases}.Sign(releaseKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// challenge is what web1 made when it found its floor gone.
const challenge = "KTCVYXJPXXW2C4SS2VL3AOJRQE"

func sealedReset(t testing.TB, r proto.Reset) *proto.Envelope {
	t.Helper()
	e, err := r.Sign(controllerKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// desired is a state that web1 accepts.
func desired(t testing.TB) proto.Desired {
	t.Helper()
	rel := sealedRelease(t, release(t))
	return proto.Desired{Format: proto.Format1, Release: rel, Assignment: sealedAssignment(t, assignment(t, rel))}
}

func pin(t testing.TB) proto.Pin {
	t.Helper()
	p, err := proto.ParsePin("sha256:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func cacheToken(t testing.TB) proto.CacheToken {
	t.Helper()
	token, err := proto.ParseCacheToken("web1.1790000000.bm90IGEgc2VjcmV0")
	if err != nil {
		t.Fatal(err)
	}
	return token
}
