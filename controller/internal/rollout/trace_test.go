package rollout_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/internal/spec"
	"kedge/proto"
)

var update = flag.Bool("update", false, "write anew what the traces should be")

// TestTraces plays each file of testdata/traces: lines that begin with ">" are what
// happens, and those that follow what the rollout does then.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/traces/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("traces: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newPlayer(t).play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" && !*update {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// A player is a controller and its hosts, of which a trace says what happens.
type player struct {
	t       *testing.T
	now     time.Time
	spec    string
	own     proto.HostName
	fleet   rollout.Fleet
	rollout rollout.Rollout
	serial  proto.Serial
	crash   bool // after the next publications, before the rollout is saved

	restarted bool // so that for a while nobody is known to be offline
	out       strings.Builder
}

func newPlayer(t *testing.T) *player {
	return &player{t: t, now: start, serial: 1, fleet: rollout.Fleet{Hosts: map[proto.HostName]rollout.Host{}, Since: start}}
}

// play returns text with what the rollout does after each line that says what
// happens.
func (p *player) play(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if line == "" || strings.HasPrefix(line, "#") {
			p.printf("%s", line)
		}
		command, ok := strings.CutPrefix(line, "> ")
		if !ok {
			continue
		}
		p.printf("%s", line)
		for ; i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t"); i++ {
			p.printf("%s", lines[i+1])
			command += lines[i+1]
		}
		if err := p.do(command); err != nil {
			p.printf("%s refused: %s", p.clock(p.now), err)
		}
		p.run()
	}
	return p.out.String()
}

func (p *player) printf(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

func (p *player) clock(at time.Time) string { return at.Format("Mon 15:04") }

// do does what a line says.
func (p *player) do(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	words := strings.Fields(rest)
	switch verb {
	case "spec":
		p.spec = rest
	case "own":
		p.own = host(p.t, rest)
	case "hosts", "strangers":
		for _, name := range words {
			h := host(p.t, name)
			p.fleet.Hosts[h] = rollout.Host{Toplevel: system(p.t, h, "old"), Serial: 1, Reported: 1, Verdict: proto.VerdictSucceeded}
			if verb == "strangers" {
				p.fleet.Hosts[h] = rollout.Host{Silent: true}
			}
		}
	case "push":
		return p.push(words[0], words[1:], "rev"+words[0])
	case "takeback": // a revision, and of what it is made
		return p.push(words[0], nil, words[1])
	case "join":
		next, err := p.rollout.Join(p.draft(p.rollout.Revision.String()[:1], words))
		p.rollout = next
		return err
	case "wait":
		d, err := time.ParseDuration(rest)
		p.now = p.now.Add(d)
		return err
	case "plan":
		p.explain()
	case "freeze":
		p.fleet.Frozen = rest
	case "thaw":
		p.fleet.Frozen = ""
	case "crash":
		p.crash = true
	case "restart":
		p.fleet.Since, p.restarted = p.now, true
	default:
		if act, ok := p.acts()[verb]; ok {
			next, err := act(rollout.Act{By: "alice", At: p.now, Why: rest})
			p.rollout = next
			return err
		}
		for _, name := range words {
			p.change(verb, host(p.t, name))
		}
	}
	return nil
}

func (p *player) acts() map[string]func(rollout.Act) (rollout.Rollout, error) {
	r := p.rollout
	return map[string]func(rollout.Act) (rollout.Rollout, error){
		"pause": r.Pause, "resume": r.Resume, "abort": r.Abort, "retry": r.Retry, "revert": r.Revert,
		"promote": func(a rollout.Act) (rollout.Rollout, error) { return r.Promote(p.seen(), nil, a) },
	}
}

// change lets something happen to a host.
func (p *player) change(verb string, name proto.HostName) {
	h := p.fleet.Hosts[name]
	switch verb {
	case "offline":
		h.Silent, h.Seen = true, p.now
	case "online":
		h.Silent = false
	case "hold":
		h.Held = "alice looks at it"
	case "release":
		h.Held = ""
	case "retrying": // what failed before anything was touched
		h.Reported, h.Verdict, h.Retries = h.Serial, proto.VerdictFailed, true
	case "defers": // for its own window, say
		h.Reported, h.Verdict, h.Defers = h.Serial, proto.VerdictPending, true
	case "renewed": // under a higher serial
		p.serial++
		h.Serial = p.serial
	case "hotfix":
		p.serial++
		h.Toplevel, h.Serial = system(p.t, name, "hotfix"), p.serial
	default:
		if !slices.Contains(proto.Verdicts(), proto.Verdict(verb)) {
			p.t.Fatalf("nobody knows how to %q", verb)
		}
		h.Reported, h.Verdict, h.Retries, h.Defers = h.Serial, proto.Verdict(verb), false, false
	}
	p.fleet.Hosts[name] = h
}

// draft returns what the rollout of a revision to some hosts, or to everybody, is
// planned from.
func (p *player) draft(digit string, names []string) rollout.Draft {
	d := rollout.Draft{
		ID: "r" + digit, Revision: revision(p.t, digit), Created: p.now, Own: p.own, Fleet: p.seen(), Previous: p.rollout,
	}
	for _, name := range names {
		d.Targets = append(d.Targets, rollout.Target{Host: host(p.t, name)})
	}
	if len(names) == 0 {
		for h := range p.fleet.Hosts {
			d.Targets = append(d.Targets, rollout.Target{Host: h})
		}
	}
	hosts := slices.Collect(maps.Keys(p.fleet.Hosts))
	for i, t := range d.Targets {
		d.Targets[i].Toplevel = system(p.t, t.Host, "rev"+digit)
		hosts = append(hosts, t.Host)
	}
	d.Spec, d.Meant = spec.Spec{}, hosts
	if p.spec != "" {
		d.Spec = parsed(p.t, p.spec, hosts...)
	}
	return d
}

// push plans the rollout of a revision, named by a digit, that is made of what.
func (p *player) push(digit string, names []string, what string) error {
	d := p.draft(digit, names)
	for i, t := range d.Targets {
		d.Targets[i].Toplevel = system(p.t, t.Host, what)
	}
	if p.rollout.ID != "" && !p.rollout.State.Ended() {
		old, err := p.rollout.Supersede(rollout.Act{At: p.now, Why: "by " + d.ID})
		if err != nil {
			return err
		}
		p.printf("%s %s is %s %s", p.clock(p.now), old.ID, old.State, old.Entered.Why)
	}
	p.rollout = planned(p.t, d)
	return nil
}

// knownOffline is how long after a restart it is not known who is offline.
const knownOffline = 4 * time.Minute

// seen returns the fleet as it is now.
func (p *player) seen() rollout.Fleet {
	f := p.fleet
	f.Hosts = maps.Clone(f.Hosts)
	for name, h := range f.Hosts {
		if !h.Silent {
			h.Seen = p.now
		}
		h.Silent = h.Silent && (!p.restarted || p.now.Sub(f.Since) >= knownOffline)
		f.Hosts[name] = h
	}
	return f
}

// run does what the rollout asks for.
func (p *player) run() {
	for {
		actions := rollout.Next(p.rollout, p.seen(), p.now)
		if len(actions) == 0 {
			return
		}
		saved := p.rollout
		for _, a := range actions {
			p.carryOut(a)
		}
		if p.crash && actions[0].Kind == rollout.Publish {
			p.printf("%s crash before that was saved", p.clock(p.now))
			p.rollout, p.crash = saved, false
		}
		b, err := p.rollout.Encode()
		if err != nil {
			p.t.Fatal(err)
		}
		if p.rollout, err = rollout.Parse(b); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *player) carryOut(a rollout.Action) {
	done := rollout.Result{Action: a}
	if a.Kind == rollout.Publish {
		p.serial++
		h := p.fleet.Hosts[a.Host]
		h.Toplevel, h.Serial = a.Toplevel, p.serial
		p.fleet.Hosts[a.Host] = h
		done.Serial = p.serial
	}
	p.printf("%s %s", p.clock(p.now), p.tell(a))
	next, err := p.rollout.Apply([]rollout.Result{done}, p.now)
	if err != nil {
		p.t.Fatal(err)
	}
	p.rollout = next
}

// tell returns an action in one line.
func (p *player) tell(a rollout.Action) string {
	line := string(a.Kind)
	if a.Wave < len(p.rollout.Waves) && a.Host.IsZero() {
		line += " " + p.rollout.Waves[a.Wave].Name
	}
	for _, name := range append([]proto.HostName{a.Host}, a.Hosts...) {
		line += strings.TrimRight(" "+name.String(), " ")
	}
	if a.Kind == rollout.Publish {
		line += fmt.Sprintf(" %s, before %s", what(a.Toplevel), what(a.Before.Toplevel))
	}
	if len(a.Canary) > 0 {
		line += fmt.Sprintf(", canary %v", a.Canary)
	}
	if a.Verdict != "" {
		line += ", " + string(a.Verdict)
	}
	if a.Offline {
		line += ", offline"
	}
	if a.Why != "" {
		line += ", " + a.Why
	}
	return line
}

// what returns which of a host's systems p is.
func what(p proto.StorePath) string {
	if p.IsZero() {
		return "none"
	}
	return p.Base()[strings.LastIndexByte(p.Base(), '-')+1:]
}

// explain tells the plan.
func (p *player) explain() {
	p.printf("%s the rollout is %s", p.clock(p.now), p.rollout.State)
	for _, h := range rollout.Explain(p.rollout, p.seen(), p.now) {
		wave := "no wave"
		if h.Wave < len(p.rollout.Waves) {
			wave = "wave " + p.rollout.Waves[h.Wave].Name
		}
		line := fmt.Sprintf("  %s, %s, %s", h.Host, wave, h.Progress.State)
		if h.Canary {
			line += ", canary"
		}
		if h.Offline {
			line += ", offline"
		}
		if h.Progress.Verdict != "" {
			line += ", " + string(h.Progress.Verdict)
		}
		if h.Wait != "" {
			line += ": waits for " + string(h.Wait)
		}
		if !h.At.IsZero() {
			line += " until " + p.clock(h.At)
		}
		if h.Why != "" {
			line += " (" + h.Why + ")"
		}
		p.printf("%s", line)
	}
}
