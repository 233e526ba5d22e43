package health

import "kedge/proto"

// A Judgement is what was observed of a running system.
type Judgement struct {
	Good    bool // nothing speaks against it, and there was contact
	Contact bool // the restarted agent reached and verified its desired state
	Reason  proto.Reason
	Message string
	Failed  []proto.FailedUnit
	Checks  []proto.CheckResult // in the order of the configuration
}
