package proto

// A Mode is what switch-to-configuration shall come to in the end. The zero
// value is [ModeSwitch].
type Mode string

// The modes. Only ModeSwitch is carried out so far; an agent refuses the
// others as [ReasonUnsupportedMode].
const (
	ModeSwitch      Mode = "switch"       // run now, and at every boot
	ModeBoot        Mode = "boot"         // at the next boot
	ModeTest        Mode = "test"         // run now, until the next boot
	ModeDryActivate Mode = "dry-activate" // say what would change
)

// UnmarshalText refuses a mode that is not known. Empty text is [ModeSwitch].
func (m *Mode) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = ModeSwitch
		return nil
	}
	v, err := parseEnum("mode", b, []Mode{ModeSwitch, ModeBoot, ModeTest, ModeDryActivate})
	if err != nil {
		return err
	}
	*m = v
	return nil
}
