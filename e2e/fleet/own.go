package fleet

import (
	"context"
	"fmt"

	"kedge/e2e/toplevel"
)

// ControllerUnit is the controller's unit, which is in the system of a build host
// that is a host of its fleet, as text.
const ControllerUnit = toplevel.ControllerUnit

// addOwn makes the build host, which runs, a host of its fleet: it is shut down,
// and boots a system that has the agent and the controller.
func (f *Fleet) addOwn(ctx context.Context) error {
	b := f.build
	h := &Host{Machine: b.Machine, fleet: f}
	creds, reply, err := b.enrol(ctx, h.Name())
	if err != nil {
		return err
	}
	h.system = h.firstSystem(reply)
	service := b.services[ControllerUnit]
	h.system.Units = map[string]toplevel.Unit{ControllerUnit: {Text: service.Text, WantedBy: service.WantedBy}}
	off, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := b.PowerOff(off); err != nil {
		return err
	}
	if err := h.installSystem(ctx, creds); err != nil {
		return err
	}
	if err := b.start(ctx); err != nil {
		return fmt.Errorf("boot the build host as one of its fleet: %w", err)
	}
	f.hosts[h.Name()] = h
	return nil
}
