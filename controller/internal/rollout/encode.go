package rollout

import (
	"encoding/json"
	"errors"
	"fmt"

	"kedge/internal/spec"
	"kedge/proto"
)

// format1 is the only format of an encoded rollout so far.
const format1 = 1

// encoded is a rollout on disk or in a bucket.
type encoded struct {
	Format int `json:"format"`
	Rollout
}

// Encode returns r as JSON, with a format number.
func (r Rollout) Encode() ([]byte, error) {
	b, err := json.Marshal(encoded{format1, r})
	if err != nil {
		return nil, fmt.Errorf("encode rollout %s: %w", r.ID, err)
	}
	return b, nil
}

// Parse parses what [Rollout.Encode] returned. Errors wrap
// [proto.ErrUnknownFormat] or [proto.ErrMalformed].
func Parse(b []byte) (Rollout, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Rollout{}, fmt.Errorf("rollout: %w: %w", proto.ErrMalformed, err)
	}
	if head.Format != format1 {
		return Rollout{}, fmt.Errorf("rollout: %w %d, this version knows %d", proto.ErrUnknownFormat, head.Format, format1)
	}
	var e encoded
	if err := json.Unmarshal(b, &e); err != nil {
		return Rollout{}, fmt.Errorf("rollout: %w: %w", proto.ErrMalformed, err)
	}
	if err := e.validate(); err != nil {
		return Rollout{}, fmt.Errorf("rollout %s: %w: %w", e.ID, proto.ErrMalformed, err)
	}
	return e.Rollout, nil
}

// validate reports what would make Next or Apply meaningless.
func (r Rollout) validate() error {
	if r.ID == "" {
		return errors.New("it has no id")
	}
	if r.State != Running && r.State.from() == nil {
		return fmt.Errorf("state %q is not known", r.State)
	}
	if r.OnBroken != "" && r.OnBroken != spec.Halt && r.OnBroken != spec.Revert {
		return fmt.Errorf("reaction %q to a broken budget is not known", r.OnBroken)
	}
	if r.SilentAfter < 0 {
		return fmt.Errorf("hosts are silent after %s", r.SilentAfter)
	}
	if r.Wave < 0 || r.Wave > len(r.Waves) {
		return fmt.Errorf("it is in wave %d of %d", r.Wave, len(r.Waves))
	}
	if _, ok := r.Hosts[r.Own]; !ok && !r.Own.IsZero() {
		return fmt.Errorf("it has no target for %s, which is to go last", r.Own)
	}
	for i, w := range r.Waves {
		if err := r.validateWave(i, w); err != nil {
			return fmt.Errorf("wave %d, %s: %w", i, w.Name, err)
		}
	}
	for h, p := range r.Hosts {
		if err := p.validate(); err != nil {
			return fmt.Errorf("host %s: %w", h, err)
		}
	}
	return nil
}

func (r Rollout) validateWave(i int, w Wave) error {
	ended, current := i < r.Wave, i == r.Wave
	switch {
	case w.Name == "":
		return errors.New("it has no name")
	case !r.holds(w):
		return errNoMember
	case w.has(r.Own) && len(w.Hosts) > 1:
		return fmt.Errorf("%s does not go alone", r.Own)
	case w.Soak < 0 || w.CanarySoak < 0:
		return errors.New("it soaks for less than no time")
	case w.Windows.Overrun != "" && w.Windows.Overrun != spec.Finish && w.Windows.Overrun != spec.Pause:
		return fmt.Errorf("overrun %q is not known", w.Windows.Overrun)
	case ended && (w.Started.IsZero() || w.Ended.IsZero()):
		return errors.New("it lies before the current one, and has not ended")
	case !ended && !w.Ended.IsZero():
		return errors.New("it has ended, and does not lie before the current one")
	case !ended && !current && !w.Started.IsZero() && r.Waves[i-1].Started.IsZero():
		return errors.New("it started before the one before it")
	}
	return nil
}

func (p Progress) validate() error {
	switch p.State {
	case Waiting, Published, Settled, Silent, Deferred, Offline:
	default:
		return fmt.Errorf("state %q is not known", p.State)
	}
	switch {
	case p.Toplevel.IsZero():
		return errors.New("it has no toplevel")
	case (p.State == Waiting) != (p.Serial == 0):
		return fmt.Errorf("it is %s, with serial %d", p.State, p.Serial)
	case p.State != Waiting && p.Serial < p.After:
		return fmt.Errorf("its serial is %d, after %d", p.Serial, p.After)
	case (p.State == Settled) != final(p.Verdict):
		return fmt.Errorf("it is %s, with the verdict %q", p.State, p.Verdict)
	}
	return nil
}
