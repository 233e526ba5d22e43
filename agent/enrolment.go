package agent

import (
	"context"
	"errors"

	"kedge/agent/internal/credentials"
	"kedge/proto"
	"kedge/proto/bus"
)

// apply returns how the host asks for credentials over HTTP; nil if it is told nowhere to.
func (c Config) apply(instance string) func(ctx context.Context) (proto.EnrollReply, error) {
	if len(c.NATS.RenewURLs) == 0 {
		return nil
	}
	return func(ctx context.Context) (r proto.EnrollReply, err error) {
		id, err := bus.ReadIdentity(c.NATS.CredentialsFile)
		if err != nil {
			return proto.EnrollReply{}, err
		}
		client, err := credentials.NewClient(c.outbound())
		if err != nil {
			return proto.EnrollReply{}, err
		}
		defer client.CloseIdleConnections()
		defer clear(id.Seed)
		var errs []error
		for _, u := range c.NATS.RenewURLs {
			r, err = credentials.Applicant{Client: client, URL: u, Host: c.Host, Identity: id, Instance: instance}.Apply(ctx, proto.Token{})
			if err == nil {
				return r, nil
			}
			errs = append(errs, err)
		}
		return proto.EnrollReply{}, errors.Join(errs...)
	}
}
