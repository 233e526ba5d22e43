package hosts

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// consoleLines is how many of the console's last lines an error about a boot quotes.
const consoleLines = 15

// A condition is something to wait for: it holds or not yet, or it is certain that it never will.
type condition func(s power) (holds bool, never error)

// await waits until c holds.
func (m *Machine) await(ctx context.Context, c condition) error {
	for {
		s, changed := m.observe()
		holds, never := c(s)
		if holds {
			return nil
		}
		if never != nil {
			return fmt.Errorf("%w%s", never, m.consoleTail())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w; %s%s", context.Cause(ctx), s, m.consoleTail())
		}
	}
}

// AwaitBoot waits until the host's systemd has started everything that the boot is to start: failed units, if any, have
// failed by then. It fails when the machine is off, with the end of its console.
func (m *Machine) AwaitBoot(ctx context.Context) error { return m.AwaitBootAfter(ctx, 0) }

// AwaitBootAfter is AwaitBoot for a boot later than number boots, counted as [Machine.Boots] does: take the count, cause a
// reboot, and wait for the boot after that count.
func (m *Machine) AwaitBootAfter(ctx context.Context, boots int) error {
	err := m.await(ctx, func(s power) (bool, error) {
		return s.boots > boots && s.current.isReady(), s.offError()
	})
	if err != nil {
		return fmt.Errorf("await boot of %s: %w", m.options.Name, err)
	}
	return nil
}

// AwaitOff waits until the machine is off: it powered itself off, its power was cut, or it could not start.
func (m *Machine) AwaitOff(ctx context.Context) error {
	err := m.await(ctx, func(s power) (bool, error) { return s.offError() != nil, nil })
	if err != nil {
		return fmt.Errorf("await that %s is off: %w", m.options.Name, err)
	}
	return nil
}

// consoleTail returns the last lines of the console, ready to be appended to an error message.
func (m *Machine) consoleTail() string {
	content, err := os.ReadFile(m.Console())
	if err != nil {
		return "" // no console yet
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(lines) > consoleLines {
		lines = lines[len(lines)-consoleLines:]
	}
	return fmt.Sprintf("; the end of its console (%s):\n%s", m.Console(), strings.Join(lines, "\n"))
}
