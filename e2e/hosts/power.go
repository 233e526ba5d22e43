package hosts

import (
	"errors"
	"fmt"
)

// ErrOff says that a machine is off where it must be on.
var ErrOff = errors.New("the machine is off")

// ErrOn says that a machine is on where it must be off.
var ErrOn = errors.New("the machine is on")

// power is what can be seen of a machine's power at one moment.
type power struct {
	current *boot // the running or last boot, nil before the first
	boots   int   // how many boots have begun
	cut     bool  // the power was cut: the machine does not start again by itself
	broken  error // why it could not start again after a reboot, nil if it could
}

// on reports whether something of the host runs, or will without anybody switching it on.
func (s power) on() bool { return s.offError() == nil }

// offError returns why the machine is off, nil if it is on.
func (s power) offError() error {
	switch {
	case s.broken != nil:
		return fmt.Errorf("%w: it could not start again after its reboot: %w", ErrOff, s.broken)
	case s.current == nil:
		return fmt.Errorf("%w: it was never switched on", ErrOff)
	case !isClosed(s.current.over):
		return nil
	case s.cut:
		return fmt.Errorf("%w: its power was cut", ErrOff)
	case s.current.ending.reboot:
		return nil
	case s.current.ending.err != nil:
		return fmt.Errorf("%w: its last boot ended with %w", ErrOff, s.current.ending.err)
	default:
		return fmt.Errorf("%w: it powered itself off", ErrOff)
	}
}

// leader returns the process id of the host's process 1, 0 if it does not run.
func (s power) leader() int {
	if s.current == nil || !isClosed(s.current.up) || isClosed(s.current.over) {
		return 0
	}
	return s.current.leader
}

func (s power) String() string {
	switch off := s.offError(); {
	case off != nil:
		return off.Error()
	case isClosed(s.current.over):
		return fmt.Sprintf("between boot %d and the next", s.boots)
	case s.current.isReady():
		return fmt.Sprintf("boot %d is complete", s.boots)
	case isClosed(s.current.up):
		return fmt.Sprintf("in boot %d, process 1 runs but has not finished its start", s.boots)
	default:
		return fmt.Sprintf("in boot %d, process 1 has not started", s.boots)
	}
}

// observe returns the state of the power, and a channel that is closed when it changes.
func (m *Machine) observe() (power, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.power, m.changed
}

// change applies f, if any, to the state of the power, and wakes everybody who waits for a change of it or of its boot.
func (m *Machine) change(f func(*power)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f != nil {
		f(&m.power)
	}
	close(m.changed)
	m.changed = make(chan struct{})
}
