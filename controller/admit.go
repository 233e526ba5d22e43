package controller

import (
	"context"
	"fmt"

	"kedge/proto"
)

// admit reports why a revision may not be deployed. That it was pushed over what is
// deployed, and may be all the same, is told once.
func (d *deployer) admit(ctx context.Context, rev proto.Revision) error {
	over, err := d.source.Admit(ctx, d.record.Deployed, rev)
	if err != nil {
		return fmt.Errorf("not admitted: %w", err)
	}
	record := d.record
	if had := record.PushedOver; !over || had != nil && had.Revision == rev && had.Over == record.Deployed {
		return nil // what failed is tried again
	}
	record.PushedOver = &proto.ForcePush{Revision: rev, Over: record.Deployed, Time: d.now()}
	if err := d.save(record); err != nil {
		return err
	}
	d.fleet.PushedOver(d.channel, record.PushedOver)
	d.metrics.overs.WithLabelValues(d.channel).Inc()
	d.log.WarnContext(ctx, "the branch was pushed over, and is deployed as force_push says", "revision", rev, "over", record.Deployed)
	return nil
}
