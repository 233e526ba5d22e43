package agent

import (
	"strings"
	"testing"

	"kedge/agent/internal/statefile"
)

func TestTidyConfig(t *testing.T) {
	c, err := loadConfig(t, "")
	if err != nil || c.Generations.Keep != 0 || c.GC.Enable {
		t.Errorf("got %+v, %+v, %v, want nothing to be deleted", c.Generations, c.GC, err)
	}
	c, err = loadConfig(t, "generations: {keep: 3}\ngc: {enable: true, min_free: 10, max_free: 20}\n")
	if err != nil || c.Generations.Keep != 3 || c.GC != (GCConfig{Enable: true, MinFree: 10, MaxFree: 20}) {
		t.Errorf("got %+v, %+v, %v", c.Generations, c.GC, err)
	}
	for text, want := range map[string]string{
		"generations: {keep: -1}\n":        "generations.keep: must not be negative, got -1",
		"gc: {min_free: 5, max_free: 4}\n": "gc.max_free: must be at least gc.min_free, 5, got 4",
	} {
		if _, err := loadConfig(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestGarbageIsCollectedOnlyIfEnabled(t *testing.T) {
	for _, enable := range []bool{false, true} {
		c := DefaultConfig()
		c.GC.Enable = enable
		if got := newHostTidier(c, nil, statefile.Dir{}, nil); (got.garbage != nil) != enable {
			t.Errorf("enable %v: got %+v", enable, got.garbage)
		}
	}
}
