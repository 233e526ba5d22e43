package agent

import (
	"context"
	"errors"
	"testing"

	"kedge/proto"
)

func TestAnAgentThatDoesNotRest(t *testing.T) {
	for name, v := range map[string]view{
		"has not read what is desired":     {decision: Decision{Action: ActionRest, Reason: proto.ReasonNoDesired}},
		"is in a deployment":               {read: true, decision: Decision{Action: ActionSettle, Reason: proto.ReasonDeploying}},
		"reads the store":                  {read: true, decision: Decision{Action: ActionRest, Reason: proto.ReasonVerifying}},
		"has not decided on what was read": {read: true, decidedOn: 6, order: &proto.Order{Assignment: proto.Assignment{Serial: 7}}, decision: Decision{Action: ActionRest, Reason: proto.ReasonConverged}},
		"will try again":                   {read: true, decision: Decision{Action: ActionRest, Reason: proto.ReasonRetrying}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := (&Agent{view: v}).Rested(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Rested = %v, want it to wait", name, err)
		}
	}
}
