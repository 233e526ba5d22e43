package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// idleTime is how long the agents have nothing to do before their memory is
// looked at.
const idleTime = 30 * time.Second

// memory is how much of it an idle agent has, in MiB.
type memory struct {
	rss, pss []float64 // by host
}

// idleMemory lets the agents be idle, and looks how much memory they have.
func (b *bench) idleMemory(ctx context.Context) (memory, error) {
	b.say("let the agents be idle")
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	select {
	case <-idle.C:
	case <-ctx.Done():
		return memory{}, context.Cause(ctx)
	}
	var m memory
	for _, h := range b.fleet.Hosts() {
		pid, err := h.Run(ctx, "systemctl", "show", "--property=MainPID", "--value", "kedge-agent.service")
		if err != nil {
			return m, err
		}
		proc := "/proc/" + strings.TrimSpace(pid)
		text, err := h.Run(ctx, "cat", proc+"/status", proc+"/smaps_rollup")
		if err != nil {
			return m, err
		}
		rss, err := mebibytes(text, "VmRSS:")
		if err != nil {
			return m, fmt.Errorf("%s: %w", h.Name(), err)
		}
		pss, err := mebibytes(text, "Pss:")
		if err != nil {
			return m, fmt.Errorf("%s: %w", h.Name(), err)
		}
		m.rss, m.pss = append(m.rss, rss), append(m.pss, pss)
	}
	return m, nil
}

// mebibytes returns the value of a field in a file of /proc that counts in kB.
func mebibytes(text, field string) (float64, error) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != field {
			continue
		}
		kib, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", field, err)
		}
		return kib / 1024, nil
	}
	return 0, fmt.Errorf("read %s: it is not there", field)
}
