package controller_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/controller"
	"kedge/controller/controllertest"
	"kedge/controller/internal/cache"
	"kedge/proto"
)

// outside is a configuration without the embedded cache.
func outside(c *controller.Config) {
	c.Cache.Embedded, c.Cache.URLs = false, []string{"https://fleet.cachix.org"}
	c.Cache.Push = []controller.PushConfig{{Command: []string{"cachix", "push", "fleet"}}}
	c.NATS.Advertise = []string{"wss://build.example/nats"}
}

func TestWithoutTheEmbeddedCache(t *testing.T) {
	c := controllertest.Config(t.TempDir())
	outside(&c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	parts, err := controller.NewParts(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := parts.Cache.(*cache.Outside); !ok || parts.Pruner != nil {
		t.Errorf("the cache is a %T, and pruned by a %T; want those of others, pruned by nobody", parts.Cache, parts.Pruner)
	}
	if _, err := os.Stat(filepath.Join(c.StateDir, "cache")); !os.IsNotExist(err) {
		t.Errorf("there is a cache all the same: %v", err)
	}

	for name, tt := range map[string]struct {
		edit func(*controller.CacheConfig)
		want string
	}{
		"no cache at all": {func(c *controller.CacheConfig) { c.Push = nil }, "cache.push: must name at least one"},
		"open to all":     {func(c *controller.CacheConfig) { c.Public = true }, "cache.public: must be false"},
		"upstream first":  {func(c *controller.CacheConfig) { c.Upstream = []string{"https://up.example"} }, "cache.upstream: must be empty"},
		"found nowhere":   {func(c *controller.CacheConfig) { c.URLs = nil }, "cache.urls: must name at least one"},
	} {
		wrong := c
		tt.edit(&wrong.Cache)
		if err := wrong.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error = %v, want %q", name, err, tt.want)
		}
	}
}

// TestOthersAreNotTakenForTheControllers: no token is for them, and hosts expect there
// another certificate.
func TestOthersAreNotTakenForTheControllers(t *testing.T) {
	web1 := hostName(t, "web1")
	for embedded, edit := range map[bool]func(*controller.Config){true: func(*controller.Config) {}, false: outside} {
		c := start(t, edit)
		c.world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{web1: toplevel(t, "one")}})
		c.await(t, "serial 1", wants(web1, 1, toplevel(t, "one")))
		a := c.desired(t, web1).Assignment
		if embedded && (len(a.Near) > 0 || len(a.Caches) != 1 || a.CacheToken.IsZero()) {
			t.Errorf("of the embedded cache web1 is told %v, %v, with a token: %v", a.Near, a.Caches, !a.CacheToken.IsZero())
		}
		if !embedded && (len(a.Caches) > 0 || !slices.Equal(a.Near, []string{"https://fleet.cachix.org"}) || !a.CacheToken.IsZero()) {
			t.Errorf("of caches of others web1 is told %v, %v, with a token: %v", a.Near, a.Caches, !a.CacheToken.IsZero())
		}
		c.stop(t)
	}
}
