package hosts

import (
	"context"
	"fmt"
	"syscall"
)

// Signals that systemd as process 1 understands; see systemd(1). The first real-time signal of the C library is 34.
const (
	signalPowerOff = syscall.Signal(34 + 4)
	signalReboot   = syscall.Signal(34 + 5)
)

// PowerOn switches the power on and returns when the firmware runs; [Machine.AwaitBoot] waits for the rest. It fails with
// [ErrOn] if the machine is on.
func (m *Machine) PowerOn(ctx context.Context) error {
	b, err := m.switchOn(ctx)
	if err == nil {
		err = m.await(ctx, func(s power) (bool, error) { return s.current != b || isClosed(b.up), s.offError() })
	}
	if err != nil {
		return fmt.Errorf("power on %s: %w", m.options.Name, err)
	}
	return nil
}

func (m *Machine) switchOn(ctx context.Context) (*boot, error) {
	m.button.Lock()
	defer m.button.Unlock()
	if s, _ := m.observe(); s.on() {
		return nil, ErrOn
	}
	lasting := context.WithoutCancel(ctx) // a boot outlives the call that starts it
	b, err := startBoot(lasting, m)
	if err != nil {
		return nil, err
	}
	m.begin(b)
	m.keeping.Go(func() { m.keepOn(lasting, b) })
	return b, nil
}

// begin makes b the current boot.
func (m *Machine) begin(b *boot) {
	m.change(func(s *power) { *s = power{current: b, boots: s.boots + 1} })
}

// keepOn starts the machine again each time it asks for that, until it is powered off or loses its power.
func (m *Machine) keepOn(ctx context.Context, b *boot) {
	for b != nil {
		<-b.over
		if b.ending.tidy != nil {
			m.log.WarnContext(ctx, "boot left something behind", "err", b.ending.tidy)
		}
		b = m.again(ctx, b)
	}
}

// again starts the boot after b if the host asked for one and still has power, and returns nil otherwise.
func (m *Machine) again(ctx context.Context, b *boot) *boot {
	m.button.Lock()
	defer m.button.Unlock()
	if s, _ := m.observe(); s.current != b || !s.on() {
		return nil
	}
	next, err := startBoot(ctx, m)
	if err != nil {
		m.log.ErrorContext(ctx, "machine does not start again after its reboot", "err", err)
		m.change(func(s *power) { s.broken = err })
		return nil
	}
	m.begin(next)
	return next
}

// PowerOff shuts the host down cleanly and waits until it is off. It is no error if it is off already. While the host is not yet
// as far as systemd, nobody there heeds the request, and the wait ends with ctx.
func (m *Machine) PowerOff(ctx context.Context) error {
	s, _ := m.observe()
	if !s.on() {
		return nil
	}
	if err := m.signal(ctx, signalPowerOff); err != nil {
		return fmt.Errorf("power off %s: %w", m.options.Name, err)
	}
	return m.AwaitOff(ctx)
}

// Reboot asks the host's systemd to reboot and waits until the new boot is complete.
func (m *Machine) Reboot(ctx context.Context) error {
	boots := m.Boots()
	if err := m.signal(ctx, signalReboot); err != nil {
		return fmt.Errorf("reboot %s: %w", m.options.Name, err)
	}
	return m.AwaitBootAfter(ctx, boots)
}

// signal sends sig to process 1 once there is one.
func (m *Machine) signal(ctx context.Context, sig syscall.Signal) error {
	var leader int
	err := m.await(ctx, func(s power) (bool, error) {
		leader = s.leader()
		return leader != 0, s.offError()
	})
	if err != nil {
		return err
	}
	return syscall.Kill(leader, sig)
}

// PowerCut takes the power away: every process of the host ends at once and none gets to know. The disk stays as it is. It
// returns when they are gone. It is no error if the machine is off.
func (m *Machine) PowerCut(ctx context.Context) error {
	m.change(func(s *power) { s.cut = true }) // first, for a reboot that is just under way
	m.button.Lock()
	defer m.button.Unlock()
	s, _ := m.observe()
	if s.current == nil {
		return nil
	}
	m.change(func(s *power) { s.cut = true }) // the reboot came first
	if err := m.cgroup.kill(); err != nil {
		return fmt.Errorf("cut power of %s: %w", m.options.Name, err)
	}
	select {
	case <-s.current.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cut power of %s: %w", m.options.Name, context.Cause(ctx))
	}
}
