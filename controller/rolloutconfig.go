package controller

import (
	"fmt"

	"kedge/proto"
)

// A RolloutConfig says what rollouts have to know that is not in the flake.
type RolloutConfig struct {
	// OwnHost is the host that the controller itself runs on, which goes alone and
	// last. Empty is the host that has this machine's name, if there is one.
	OwnHost string `config:"own_host"`
}

// problems reports everything that is wrong with c.
func (c RolloutConfig) problems() []error {
	if c.OwnHost == "" {
		return nil
	}
	if _, err := proto.ParseHostName(c.OwnHost); err != nil {
		return []error{fmt.Errorf("rollout.own_host: %w", err)}
	}
	return nil
}

// own returns the controller's own host, zero if it cannot be one.
func (c RolloutConfig) own() proto.HostName {
	name := c.OwnHost
	if name == "" {
		name = machineName()
	}
	h, err := proto.ParseHostName(name)
	if err != nil {
		return proto.HostName{}
	}
	return h
}
