package rootfs

import (
	"fmt"
	"strings"
	"time"
)

// reportEvery is how often a long step says how far it is.
const reportEvery = 5 * time.Second

// progress turns the many lines of debootstrap and apt-get into a few that tell a person how far they are.
type progress struct {
	log     func(string)
	now     func() time.Time
	step    string
	started time.Time // of the whole
	spoke   time.Time
	fetched int // packages downloaded in this step
	setUp   int // packages unpacked or configured in this step
}

func newProgress(log func(string), now func() time.Time) *progress {
	return &progress{log: log, now: now, started: now()}
}

// begin names the step that starts now.
func (p *progress) begin(step string) {
	p.step, p.fetched, p.setUp = step, 0, 0
	p.spoke = p.now()
	p.log(fmt.Sprintf("root file system: %s (once; kept in %s)", step, Cache))
}

// line takes one line of the running step's output.
func (p *progress) line(line string) {
	switch {
	case strings.HasPrefix(line, "I: Retrieving "), strings.HasPrefix(line, "Get:"):
		p.fetched++
	case strings.HasPrefix(line, "I: Unpacking "), strings.HasPrefix(line, "I: Configuring "),
		strings.HasPrefix(line, "Unpacking "), strings.HasPrefix(line, "Setting up "):
		p.setUp++
	}
	now := p.now()
	if now.Sub(p.spoke) < reportEvery {
		return
	}
	p.spoke = now
	p.log(fmt.Sprintf("root file system: %s: %d fetched, %d steps of unpacking and configuring done, %d s so far",
		p.step, p.fetched, p.setUp, int(now.Sub(p.started).Seconds())))
}
