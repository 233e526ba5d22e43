package hosts

import (
	"errors"
	"strings"
	"testing"
)

func TestPowerState(t *testing.T) {
	done := make(chan struct{})
	close(done)
	coming := make(chan struct{})
	running := func(up, ready chan struct{}) *boot { return &boot{up: up, ready: ready, over: coming, leader: 42} }
	ended := func(e ending) *boot { return &boot{up: done, ready: done, over: done, leader: 42, ending: e} }
	tests := []struct {
		name   string
		state  power
		on     bool
		leader int
		says   string
	}{
		{"never switched on", power{}, false, 0, "never switched on"},
		{"just switched on", power{current: running(coming, coming), boots: 1}, true, 0, "process 1 has not started"},
		{"booting", power{current: running(done, coming), boots: 1}, true, 42, "has not finished its start"},
		{"booted", power{current: running(done, done), boots: 1}, true, 42, "boot 1 is complete"},
		{"being cut", power{current: running(done, done), boots: 1, cut: true}, true, 42, "boot 1 is complete"},
		{"rebooting", power{current: ended(ending{reboot: true}), boots: 1}, true, 0, "between boot 1 and the next"},
		{"cut while rebooting", power{current: ended(ending{reboot: true}), boots: 1, cut: true}, false, 0, "power was cut"},
		{"rebooted in vain", power{current: ended(ending{reboot: true}), boots: 1, broken: errors.New("no space")}, false, 0, "could not start again after its reboot: no space"},
		{"powered off", power{current: ended(ending{}), boots: 1}, false, 0, "powered itself off"},
		{"died", power{current: ended(ending{err: errors.New("exit status 1")}), boots: 1}, false, 0, "its last boot ended with exit status 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.state.on(); got != test.on {
				t.Errorf("on() = %v, want %v", got, test.on)
			}
			if err := test.state.offError(); !test.on && !errors.Is(err, ErrOff) {
				t.Errorf("offError() = %v, want ErrOff", err)
			}
			if got := test.state.leader(); got != test.leader {
				t.Errorf("leader() = %d, want %d", got, test.leader)
			}
			if got := test.state.String(); !strings.Contains(got, test.says) {
				t.Errorf("String() = %q, want it to say %q", got, test.says)
			}
		})
	}
}
