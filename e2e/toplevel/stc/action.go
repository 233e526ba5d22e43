package stc

import "fmt"

// An action is what the caller asked for, as spelled on the command line.
type action string

const (
	actionSwitch      action = "switch"
	actionBoot        action = "boot"
	actionTest        action = "test"
	actionDryActivate action = "dry-activate"
	actionCheck       action = "check"
)

// usage is printed, and exit code 1 returned, for anything that parseAction refuses.
const usage = `Usage: %s [check|switch|boot|test|dry-activate]
check:        run pre-switch checks and exit
switch:       make the configuration the boot default and activate now
boot:         make the configuration the boot default
test:         activate the configuration, but don't make it the boot default
dry-activate: show what would be done if this configuration were activated
`

func parseAction(s string) (action, error) {
	switch a := action(s); a {
	case actionSwitch, actionBoot, actionTest, actionDryActivate, actionCheck:
		return a, nil
	default:
		return "", fmt.Errorf("invalid action %s", s)
	}
}

// installsBootLoader tells whether a makes the system the boot default.
func (a action) installsBootLoader() bool { return a == actionSwitch || a == actionBoot }
