package controller

import (
	"context"
	"fmt"
	"time"

	"kedge/controller/internal/enroll"
	"kedge/controller/internal/natsd"
)

// ExternalNATS returns what a NATS server of somebody else's needs for a controller with
// configuration c, which need not run: see [natsd.Keys.Config]. It makes the keys if
// there are none.
func ExternalNATS(c Config, now time.Time, selfSigned bool) (string, error) {
	k := Controller{o: Options{Config: c}}
	book, err := enroll.Open(k.path(hostsDir))
	if err != nil {
		return "", err
	}
	operators, err := enroll.OpenOperators(k.path(operatorsFile))
	if err != nil {
		return "", err
	}
	keys, err := natsd.OpenKeys(c.StateDir)
	if err != nil {
		return "", fmt.Errorf("configuration of NATS: %w", err)
	}
	return keys.Config(revoked(book, operators, now), selfSigned)
}

// repeatAccounts has the servers of somebody else's stay in step with who is revoked
// until ctx ends, where the accounts are of our making.
func (c *Controller) repeatAccounts(ctx context.Context) error {
	if remote, ok := c.authority.(*natsd.Remote); ok {
		return remote.Run(ctx)
	}
	return nil
}
