package controller

import (
	"errors"
	"fmt"
)

// maxReplicas is how many NATS takes.
const maxReplicas = 5

// A HAConfig says whether there are several controllers; see docs/high-availability.md.
type HAConfig struct {
	// Enabled has this controller act only while it holds the lease of the leader.
	Enabled bool `config:"enabled"`
}

func (c Config) haProblems() []error {
	var problems []error
	if c.NATS.Replicas < 1 || c.NATS.Replicas > maxReplicas {
		problems = append(problems, fmt.Errorf("nats.replicas: must be between 1 and %d, got %d", maxReplicas, c.NATS.Replicas))
	}
	if c.NATS.URL == "" && c.NATS.Replicas > 1 {
		problems = append(problems, errors.New("nats.replicas: must be 1 without nats.url; the embedded server is alone"))
	}
	if c.HA.Enabled && c.NATS.URL == "" {
		problems = append(problems, errors.New("ha.enabled: needs nats.url: the embedded NATS server dies with its controller; run a cluster beside them, as docs/high-availability.md says"))
	}
	return problems
}
