package nix

import (
	"errors"
	"slices"
	"testing"

	"kedge/proto"
)

func TestChangedReadsThoseAloneThatAreChangedTogether(t *testing.T) {
	a, b := parsePath(t, serveA), parsePath(t, serveB)
	c, calls := fakeNix(t, `for last; do case $last in *`+b.Base()+`) exit 1;; esac; done`)
	got, err := c.Changed(t.Context(), a, b)
	if err != nil || !slices.Equal(got, []proto.StorePath{b}) {
		t.Errorf("Changed = %v, %v, want %v", got, err, b)
	}
	want := []string{
		"nix-store --verify-path -- " + serveA + " " + serveB,
		"nix-store --verify-path -- " + serveA,
		"nix-store --verify-path -- " + serveB,
	}
	if got := calls(); !slices.Equal(got, want) {
		t.Errorf("calls are %q, want %q", got, want)
	}
}

func TestWhatIsNotKnownIsNotChanged(t *testing.T) {
	c, _ := fakeNix(t, "exit 7")
	if got, err := c.Changed(t.Context(), parsePath(t, serveA)); err == nil || len(got) > 0 {
		t.Errorf("Changed = %v, %v, want an error alone", got, err)
	}
}

func TestRepairIsNotBelievedToHaveBroughtWhatItHasNot(t *testing.T) {
	c, _ := fakeNix(t, `case "$1" in --verify-path) exit 1;; esac`)
	if err := c.Repair(t.Context(), substitutes(t)); !errors.Is(err, errNotBrought) {
		t.Errorf("got %v, want %v", err, errNotBrought)
	}
}

func TestRepairWantsTheTrustedSignature(t *testing.T) {
	c, calls := fakeNix(t, "exit 0")
	o := substitutes(t)
	if err := c.Repair(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	want := "nix-store --repair-path --option substitute true --option substituters http://cache" +
		" --option narinfo-cache-negative-ttl 0 --option narinfo-cache-positive-ttl 0" +
		" --option connect-timeout 15 --option stalled-download-timeout 20 --option download-attempts 3 --option fsync-store-paths true" +
		" --option require-sigs true --option trusted-public-keys " + o.TrustedKeys[0].String() + " --option max-jobs 0 --option builders  -- " + serveA
	if got := calls(); !slices.Equal(got, []string{want, "nix-store --verify-path -- " + serveA}) {
		t.Errorf("calls are %q, want %q and a look at what came of it", got, want)
	}
	o.From += "?trusted=true"
	if err := c.Repair(t.Context(), o); err == nil {
		t.Error("a parameter that turns signatures off was accepted")
	}
}
