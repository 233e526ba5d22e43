package agent

// GenerationsConfig says which generations of the system profile are deleted
// after a deployment has committed.
type GenerationsConfig struct {
	// Keep is how many of the newest stay; zero keeps all. On top of those stays
	// what the host runs, was booted with, or may have to go back to.
	Keep int `config:"keep"`
}

// GCConfig says when garbage in the store is collected.
type GCConfig struct {
	Enable bool `config:"enable"`
	// MinFree is how many bytes must be free in the store before any is, after a
	// commit. For a fetch that lacks room there is no need to be below it.
	MinFree uint64 `config:"min_free"`
	// MaxFree is how many bytes are free when a collection ends.
	MaxFree uint64 `config:"max_free"`
}

// What is free in a store that is neither full nor empty.
const (
	defaultMinFree = 1 << 30
	defaultMaxFree = 4 << 30
)

func (c GenerationsConfig) validate(p *problems) {
	p.check(c.Keep >= 0, "generations.keep: must not be negative, got %d", c.Keep)
}

func (c GCConfig) validate(p *problems) {
	p.check(c.MaxFree >= c.MinFree, "gc.max_free: must be at least gc.min_free, %d, got %d", c.MinFree, c.MaxFree)
}
