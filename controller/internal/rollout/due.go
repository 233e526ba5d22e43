package rollout

import "time"

// Due returns when to ask [Next] again although nothing happens: until then it asks for
// nothing more than it does now. Zero if no clock decides anything.
func Due(r Rollout, f Fleet, now time.Time) time.Time {
	v := view{r, f, now}
	var due time.Time
	at := func(t time.Time) {
		if t.After(now) && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	for name, p := range v.Hosts {
		h := f.Hosts[name]
		if p.State == Published {
			at(v.lastWord(p, h).Add(v.SilentAfter))
			at(p.Since.Add(patience))
		}
		if !p.Doubted.IsZero() {
			at(p.Doubted.Add(doubt))
		}
		if h.Silent {
			at(v.seen(p, h).Add(forgotten + 1))
		}
	}
	if v.Wave < len(v.Waves) && !v.State.Ended() {
		wave := v.Waves[v.Wave]
		soaked, _ := v.soaked(wave)
		at(soaked)
		at(v.gate(wave).at)
	}
	return due
}
