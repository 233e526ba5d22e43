package spec

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"kedge/proto"
)

// defaultSilentAfter is as long as an agent takes at most to look at its desired
// state without being called.
const defaultSilentAfter = 15 * time.Minute

// defaultMaxSilent is more of a fleet in percent than falls silent by itself.
const defaultMaxSilent = 50

// root is the flake's output, with which every path begins.
const (
	root        = "kedge"
	rolloutPath = root + ".rollout"
)

// Parse reads the output `kedge` of a flake as JSON. Hosts are those of its
// nixosConfigurations. An error is a
// [*ParseError]. No data at all are the zero Spec.
func Parse(data []byte, hosts []proto.HostName) (Spec, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return Spec{}, nil
	}
	if !json.Valid(data) {
		return Spec{}, &ParseError{[]Problem{{root, "is no JSON"}}}
	}
	var r reader
	known := make(map[proto.HostName]bool, len(hosts))
	for _, h := range hosts {
		known[h] = true
	}
	s := r.spec(data, known)
	r.check(s, known)
	if len(r.problems) > 0 {
		return Spec{}, &ParseError{r.problems}
	}
	return s, nil
}

// spec reads everything.
func (r *reader) spec(raw json.RawMessage, known map[proto.HostName]bool) Spec {
	s := Spec{Hosts: map[proto.HostName]Host{}, Sites: map[string]Site{}}
	s.Rollout.Budget.Failed = Count(0)
	s.Rollout.SilentAfter, s.Rollout.OnBrokenBudget = defaultSilentAfter, Halt
	s.Rollout.MaxSilent, s.Rollout.Windows.Overrun = Percent(defaultMaxSilent), Finish
	r.set(root, raw, map[string]attribute{
		"hosts": func(path string, raw json.RawMessage) {
			r.each(path, raw, func(name, path string, raw json.RawMessage) {
				host, err := proto.ParseHostName(name)
				if err != nil || !known[host] {
					r.problem(path, "nixosConfigurations has no such host%s", didYouMean(name, texts(slices.Collect(maps.Keys(known)))))
				}
				if read := r.host(path, raw); err == nil {
					s.Hosts[host] = read
				}
			})
		},
		"sites": func(path string, raw json.RawMessage) {
			r.each(path, raw, func(name, path string, raw json.RawMessage) {
				r.checkLabel(path, name)
				s.Sites[name] = r.site(path, raw)
			})
		},
		"rollout": func(path string, raw json.RawMessage) { r.rollout(path, raw, &s.Rollout) },
	})
	return s
}

func (r *reader) host(path string, raw json.RawMessage) (h Host) {
	r.set(path, raw, map[string]attribute{
		"tags":   r.tags(&h.Tags),
		"caches": r.caches(&h.Caches),
		"hold":   r.reason(&h.Hold),
	})
	return h
}

func (r *reader) site(path string, raw json.RawMessage) (s Site) {
	r.set(path, raw, map[string]attribute{
		"hosts":  r.selector(&s.Hosts),
		"caches": r.caches(&s.Caches),
	})
	r.required(path, raw, "hosts")
	return s
}

// required reports an attribute set without one of the names.
func (r *reader) required(path string, raw json.RawMessage, names ...string) {
	var set map[string]json.RawMessage
	if json.Unmarshal(raw, &set) != nil {
		return
	}
	for _, name := range names {
		if _, ok := set[name]; !ok {
			r.problem(path+"."+name, "must be given")
		}
	}
}

func (r *reader) tags(to *[]string) attribute {
	return func(path string, raw json.RawMessage) {
		r.list(path, raw, func(path string, raw json.RawMessage) {
			var tag string
			if r.as(path, raw, kindText, &tag) && r.checkLabel(path, tag) {
				*to = append(*to, tag)
			}
		})
		slices.Sort(*to)
		*to = slices.Compact(*to)
	}
}

func (r *reader) caches(to *[]string) attribute {
	return func(path string, raw json.RawMessage) {
		r.list(path, raw, func(path string, raw json.RawMessage) {
			var url string
			if !r.as(path, raw, kindText, &url) {
				return
			}
			if err := proto.ValidateCacheURL(url); err != nil {
				r.problem(path, "%s", err)
				return
			}
			*to = append(*to, url)
		})
	}
}

func (r *reader) rollout(path string, raw json.RawMessage, to *Rollout) {
	var waves []func(Rollout) Wave
	r.set(path, raw, map[string]attribute{
		"waves": func(path string, raw json.RawMessage) {
			r.list(path, raw, func(path string, raw json.RawMessage) {
				waves = append(waves, func(all Rollout) Wave { return r.wave(path, raw, all) })
			})
		},
		"budget":         func(path string, raw json.RawMessage) { r.budget(path, raw, &to.Budget) },
		"silentAfter":    r.positive(&to.SilentAfter),
		"maxSilent":      r.amount(&to.MaxSilent),
		"onBrokenBudget": choice(r, &to.OnBrokenBudget, Halt, Revert),
		"windows":        func(path string, raw json.RawMessage) { r.windowsOf(path, raw, &to.Windows) },
		"approval":       r.bool(&to.Approval),
		"freeze":         r.reason(&to.Freeze),
	})
	for _, read := range waves { // last: what a wave does not say the rollout does
		to.Waves = append(to.Waves, read(*to))
	}
}

// positive reads a time that is more than none.
func (r *reader) positive(to *time.Duration) attribute {
	return func(path string, raw json.RawMessage) {
		before := len(r.problems)
		if r.duration(to)(path, raw); len(r.problems) == before && *to == 0 {
			r.problem(path, "must be more than 0s")
		}
	}
}

func (r *reader) budget(path string, raw json.RawMessage, to *Budget) {
	r.set(path, raw, map[string]attribute{
		"failed":  r.amount(&to.Failed),
		"silent":  r.amount(&to.Silent),
		"success": r.amount(&to.Success),
	})
}

func (r *reader) windowsOf(path string, raw json.RawMessage, to *Windows) {
	r.set(path, raw, map[string]attribute{
		"allow":   r.windows(&to.Allow),
		"deny":    r.windows(&to.Deny),
		"overrun": choice(r, &to.Overrun, Finish, Pause),
	})
}

// wave reads a wave of a rollout that says all that the wave does not.
func (r *reader) wave(path string, raw json.RawMessage, all Rollout) (w Wave) {
	r.set(path, raw, map[string]attribute{
		"name":        r.label(&w.Name),
		"hosts":       r.selector(&w.Hosts),
		"canary":      func(path string, raw json.RawMessage) { w.Canary = r.canary(path, raw) },
		"maxInFlight": r.someHosts(&w.MaxInFlight),
		"soak":        r.duration(&w.Soak),
		"approval":    r.bool(&w.Approval),
		"budget": func(path string, raw json.RawMessage) {
			b := all.Budget
			w.Budget = &b
			r.budget(path, raw, w.Budget)
		},
		"windows": func(path string, raw json.RawMessage) {
			ws := all.Windows
			w.Windows = &ws
			r.windowsOf(path, raw, w.Windows)
		},
	})
	r.required(path, raw, "name", "hosts")
	return w
}

func (r *reader) canary(path string, raw json.RawMessage) (c Canary) {
	r.set(path, raw, map[string]attribute{
		"size":  r.someHosts(&c.Size),
		"hosts": r.selector(&c.Hosts),
		"soak":  r.duration(&c.Soak),
	})
	return c
}
