package deployment

import "time"

// A Way is how a system is brought into effect. The zero value is [WaySwitch].
type Way string

// The ways.
const (
	WaySwitch Way = "switch"       // activated now, and registered once it is proven
	WayTest   Way = "test"         // activated now and judged; never registered
	WayDry    Way = "dry-activate" // asked what it would change
	WayBoot   Way = "boot"         // at the next boot, whoever asks for that
	WayReboot Way = "reboot"       // in a boot that we ask for
	WayHold   Way = "hold"         // not before a person confirms it
)

// Staged reports whether w leads through a trial boot.
func (w Way) Staged() bool { return w == WayBoot || w == WayReboot }

// Boots is how a deployment may boot its host, as the configuration had it when
// it began.
type Boots struct {
	// Timeout bounds each boot, from the beginning of the transaction in it until
	// systemd has started everything; and, before it, the going down.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Protected means that a system is not booted for trial where the boot loader
	// cannot fall back by itself.
	Protected bool `json:"protected,omitempty"`
	// LastResort allows one reboot if the proven system cannot be activated.
	LastResort bool `json:"last_resort,omitempty"`
}
