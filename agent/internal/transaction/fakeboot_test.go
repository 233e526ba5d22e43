package transaction_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kedge/agent/internal/loader"
	"kedge/agent/internal/transaction"
	"kedge/proto"
)

// start boots the host.
func (h *fakeHost) start() {
	next := h.bootDefault
	if !h.oneShot.IsZero() {
		next, h.oneShot = h.oneShot, proto.StorePath{}
	}
	if h.foreigner {
		next = foreign
	}
	h.boot++
	h.boots++
	h.coming = h.guard != ""
	if isNew(next) && h.panics && h.bootDefault != newSystem {
		h.start()
		return
	}
	h.booted, h.current, h.whole, h.agent = next, next, next, next
}

func (h *fakeHost) Arm(_ context.Context, p proto.StorePath) error {
	if h.unable {
		return fmt.Errorf("GRUB: %w", loader.ErrUnprotected)
	}
	if h.loaderRefuses {
		return errors.New("no such entry")
	}
	if p == newSpecial && h.noSpecial {
		return fmt.Errorf("GRUB: %w", loader.ErrNoEntry)
	}
	if p != h.record.System() && (p != newSystem || !h.noSpecial) {
		h.t.Errorf("%s is to be booted once", p)
	}
	return h.do(func() { h.oneShot = p })
}

func (h *fakeHost) Disarm(context.Context) error {
	return h.do(func() { h.oneShot = proto.StorePath{} })
}

func (h *fakeHost) Reboot(context.Context) error {
	if h.guard != h.record.Agent {
		h.t.Errorf("the host is rebooted with %q as its guard, want %q", h.guard, h.record.Agent)
	}
	if h.record.Phase == proto.PhaseArmed && !h.oneShot.IsZero() && h.bootDefault != oldSystem {
		h.t.Errorf("%s is the boot default, although %s is booted once", h.bootDefault, h.oneShot)
	}
	if h.frozen && isNew(h.current) {
		return fmt.Errorf("start reboot.target: %w", transaction.ErrNoAnswer)
	}
	if h.refuses && isNew(h.current) {
		return errors.New("start reboot.target: access denied")
	}
	if h.stays > 0 {
		h.stays--
		return h.do(func() {})
	}
	if err := h.do(h.start); err != nil {
		return err
	}
	h.dead = true
	return errCrash
}

func (h *fakeHost) Reset(context.Context) error {
	if h.bootDefault != oldSystem || !h.oneShot.IsZero() {
		h.t.Errorf("the host is reset, and boots %s, or once %s", h.bootDefault, h.oneShot)
	}
	h.resets++
	if err := h.do(h.start); err != nil {
		return err
	}
	h.dead = true
	return errCrash
}

func (h *fakeHost) AwaitBoot(ctx context.Context) error {
	if h.age > 0 && h.coming {
		deadline, _ := ctx.Deadline()
		left, takes := time.Until(deadline).Round(time.Second), h.ends-h.age-h.clock
		h.clock += min(left, takes)
		h.coming = false // or is taken to have ended
		if left < takes {
			return context.DeadlineExceeded
		}
	}
	h.coming = false
	if h.hangs && isNew(h.current) {
		return context.DeadlineExceeded
	}
	h.ups++
	return h.do(func() {})
}

func (h *fakeHost) Bless(context.Context) error {
	if h.guard != "" || isNew(h.booted) && h.proven.Toplevel != newSystem {
		h.t.Errorf("%s: a boot of %s is called good, guarded by %q", h.record.Phase, h.booted, h.guard)
	}
	return h.do(func() { h.blessed = h.boot })
}
