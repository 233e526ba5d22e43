package proto

// A Mode is what switch-to-configuration shall come to in the end. The zero
// value is [ModeSwitch].
type Mode string

// The modes.
const (
	ModeSwitch      Mode = "switch"       // now, or however the host's policy says for such a system
	ModeBoot        Mode = "boot"         // at the next boot, whoever asks for it
	ModeTest        Mode = "test"         // run now, until the next boot
	ModeDryActivate Mode = "dry-activate" // say what would change
)

// Modes returns every mode.
func Modes() []Mode { return []Mode{ModeSwitch, ModeBoot, ModeTest, ModeDryActivate} }

// MarshalText implements [encoding.TextMarshaler].
func (m Mode) MarshalText() ([]byte, error) { return []byte(m), nil }

// UnmarshalText refuses a mode that is not known. Empty text is [ModeSwitch].
func (m *Mode) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = ModeSwitch
		return nil
	}
	v, err := parseEnum("mode", b, Modes())
	if err != nil {
		return err
	}
	*m = v
	return nil
}
