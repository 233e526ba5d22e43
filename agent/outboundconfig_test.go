package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheControllersCachesAreWhereItsNATSIs(t *testing.T) {
	c := Config{
		NATS:   NATSConfig{Servers: []string{"tls://build.example:4222", "tls://[2001:db8::1]:4222"}},
		Caches: []string{"https://build.example/cache", "https://cache.nixos.org", "https://[2001:db8::1]:8443/cache", "https://build.example.org/", "http://build.example/cache"},
	}
	want := []string{"https://build.example/cache", "https://[2001:db8::1]:8443/cache"}
	if diff := cmp.Diff(want, c.controllersCaches()); diff != "" {
		t.Errorf("the controller's caches (-want +got):\n%s", diff)
	}
	if len(c.Caches) != 5 {
		t.Errorf("the configuration has become %v", c.Caches)
	}
}
