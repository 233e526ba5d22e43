package controller

import "testing"

func TestTheOwnHostIsThisMachineUnlessItIsNamed(t *testing.T) {
	if got := (RolloutConfig{OwnHost: "build"}).own(); got != host(t, "build") {
		t.Errorf("own host = %s, want the one that is named", got)
	}
	if got, want := (RolloutConfig{}).own().String(), machineName(); got != want {
		t.Errorf("own host = %q, want this machine, %q", got, want)
	}
}
