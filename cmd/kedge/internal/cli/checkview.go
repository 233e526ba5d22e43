package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"kedge/internal/spec"
	"kedge/internal/terminal"
	"kedge/proto"
)

// checked is what a spec was understood as, or what is wrong with it.
type checked struct {
	Hosts    []checkedHost  `json:"hosts,omitempty"`
	Waves    []checkedWave  `json:"waves,omitempty"`
	Sites    []checkedSite  `json:"sites,omitempty"`
	Freeze   string         `json:"freeze,omitempty"`
	Problems []spec.Problem `json:"problems,omitempty"`
}

type checkedHost struct {
	Name   proto.HostName `json:"name"`
	Tags   []string       `json:"tags,omitempty"`
	Caches []string       `json:"caches,omitempty"` // before the fleet's own
	Hold   string         `json:"hold,omitempty"`
}

type checkedWave struct {
	Name        string           `json:"name"`
	Hosts       []proto.HostName `json:"hosts"`
	Canary      string           `json:"canary,omitempty"` // a number, or names
	MaxInFlight string           `json:"maxInFlight,omitempty"`
	Soak        string           `json:"soak,omitempty"`
	Budget      string           `json:"budget,omitempty"`
	Waits       []string         `json:"waits,omitempty"` // for what, before it starts
}

type checkedSite struct {
	Name   string           `json:"name"`
	Hosts  []proto.HostName `json:"hosts"`
	Caches []string         `json:"caches"`
}

// checkedOf returns what s means for hosts.
func checkedOf(s spec.Spec, hosts []proto.HostName) checked {
	c := checked{Freeze: s.Rollout.Freeze}
	for _, h := range hosts {
		said := s.Hosts[h]
		c.Hosts = append(c.Hosts, checkedHost{Name: h, Tags: said.Tags, Caches: s.CachesOf(h), Hold: said.Hold})
	}
	for i, m := range s.Members(hosts) {
		c.Waves = append(c.Waves, checkedWaveOf(s, m, i == 0 && s.Rollout.Approval))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sites)) {
		site := checkedSite{Name: name, Caches: append([]string{}, s.Sites[name].Caches...)} // a list for those who read it as JSON
		for _, h := range hosts {
			if s.Match(s.Sites[name].Hosts, h) {
				site.Hosts = append(site.Hosts, h)
			}
		}
		c.Sites = append(c.Sites, site)
	}
	return c
}

// checkedWaveOf returns what a wave means; approval is whether a person lets the
// rollout begin with it.
func checkedWaveOf(s spec.Spec, m spec.Members, approval bool) checkedWave {
	w := checkedWave{Name: m.Wave.Name, Hosts: m.Hosts, MaxInFlight: m.Wave.MaxInFlight.String(), Soak: duration(m.Wave.Soak)}
	if !m.Wave.Canary.IsZero() {
		w.Canary = hostNames(s.Canaries(m))
		if size := m.Wave.Canary.Size; !size.IsZero() {
			w.Canary = fmt.Sprint(size.CeilOf(len(m.Hosts)))
		}
		if soak := duration(m.Wave.Canary.Soak); soak != "" {
			w.Canary += " for " + soak
		}
	}
	budget := s.Rollout.Budget
	if m.Wave.Budget != nil {
		budget = *m.Wave.Budget
	}
	var parts []string
	for _, part := range []struct {
		name   string
		amount spec.Amount
	}{{"failed", budget.Failed}, {"silent", budget.Silent}, {"success", budget.Success}} {
		if !part.amount.IsZero() {
			parts = append(parts, part.name+" "+part.amount.String())
		}
	}
	w.Budget = strings.Join(parts, ", ")
	if approval || m.Wave.Approval {
		w.Waits = append(w.Waits, "approval")
	}
	windows := s.Rollout.Windows
	if m.Wave.Windows != nil {
		windows = *m.Wave.Windows
	}
	for _, allow := range windows.Allow {
		w.Waits = append(w.Waits, allow.String())
	}
	for _, deny := range windows.Deny {
		w.Waits = append(w.Waits, "not "+deny.String())
	}
	return w
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func hostNames(hosts []proto.HostName) string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.String()
	}
	return strings.Join(names, " ")
}

// drawChecked writes what a spec was understood as.
func drawChecked(w io.Writer, c checked) {
	waves := table{{"WAVE", "HOSTS", "CANARY", "IN FLIGHT", "SOAK", "BUDGET", "WAITS FOR"}}
	for _, v := range c.Waves {
		waves.add(v.Name, hostNames(v.Hosts), terminal.Dash(v.Canary), terminal.Dash(v.MaxInFlight),
			terminal.Dash(v.Soak), terminal.Dash(v.Budget), terminal.Dash(strings.Join(v.Waits, "; ")))
	}
	waves.draw(w)
	if len(c.Sites) > 0 {
		fmt.Fprintln(w)
		sites := table{{"SITE", "HOSTS", "CACHES"}}
		for _, s := range c.Sites {
			sites.add(s.Name, hostNames(s.Hosts), strings.Join(s.Caches, " "))
		}
		sites.draw(w)
	}
	var notes []string
	for _, h := range c.Hosts {
		if h.Hold != "" {
			notes = append(notes, fmt.Sprintf("%s is held: %s", h.Name, h.Hold))
		}
	}
	if c.Freeze != "" {
		notes = append(notes, "nothing new goes out: "+c.Freeze)
	}
	if len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, n := range notes {
		fmt.Fprintln(w, terminal.Printable(n))
	}
}

func (k *kedge) printChecked(c checked) error {
	e := json.NewEncoder(k.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(c)
}
