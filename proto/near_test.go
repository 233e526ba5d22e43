package proto

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestCachesNearAHostComeFirst(t *testing.T) {
	a := Assignment{Near: []string{"https://near.example"}, Caches: []string{"https://build.example"}}
	if got, want := a.From(), []string{"https://near.example", "https://build.example"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	h, err := ParseHostName("web1")
	if err != nil {
		t.Fatal(err)
	}
	a.Host, a.Serial, a.Release, a.Issued = h, 1, DigestOf(nil), time.Unix(1, 0)
	a.Expires, a.Near = a.Issued.Add(time.Hour), []string{"s3://bucket"}
	if err := a.validate(); !errors.Is(err, ErrMalformed) {
		t.Errorf("%q is near: got error %v, want %v", a.Near, err, ErrMalformed)
	}
}
