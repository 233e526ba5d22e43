package proto

import (
	"strings"
	"time"
)

// An Endpoint is one call of the operator API, a NATS micro service: the role
// that may call it, a dot, and a name. The role is part of the subject, so that
// the server's permissions, and not the service, keep others out.
type Endpoint string

// The calls.
const (
	EndpointFleet          Endpoint = "viewer.fleet"          // FleetRequest → FleetReply
	EndpointHost           Endpoint = "viewer.host"           // HostRequest → HostReply
	EndpointEvents         Endpoint = "viewer.events"         // EventsRequest → EventsReply
	EndpointHostLog        Endpoint = "viewer.host-log"       // HostLogRequest → HostLogReply
	EndpointLeaseList      Endpoint = "viewer.lease-list"     // LeaseListRequest → LeaseListReply
	EndpointWithdrawals    Endpoint = "viewer.withdrawals"    // WithdrawalsRequest → WithdrawalsReply
	EndpointKeyStatus      Endpoint = "viewer.key-status"     // KeyStatusRequest → KeyStatusReply
	EndpointAudit          Endpoint = "viewer.audit"          // AuditRequest → AuditReply
	EndpointBuildLog       Endpoint = "viewer.build-log"      // BuildLogRequest → BuildLogReply
	EndpointRolloutList    Endpoint = "viewer.rollout-list"   // RolloutListRequest → RolloutListReply
	EndpointRolloutShow    Endpoint = "viewer.rollout-show"   // RolloutShowRequest → RolloutShowReply
	EndpointRolloutPlan    Endpoint = "viewer.rollout-plan"   // RolloutPlanRequest → RolloutPlanReply
	EndpointReconcile      Endpoint = "operator.reconcile"    // ReconcileRequest → ReconcileReply
	EndpointRolloutAct     Endpoint = "operator.rollout-act"  // RolloutActRequest → RolloutActReply
	EndpointHostAdd        Endpoint = "admin.host-add"        // HostAddRequest → HostAddReply
	EndpointHostRevoke     Endpoint = "admin.host-revoke"     // HostRevokeRequest → HostRevokeReply
	EndpointHostToken      Endpoint = "admin.host-token"      // HostTokenRequest → HostTokenReply
	EndpointHostReset      Endpoint = "admin.host-reset"      // HostResetRequest → HostResetReply
	EndpointOperatorAdd    Endpoint = "admin.operator-add"    // OperatorAddRequest → OperatorAddReply
	EndpointOperatorToken  Endpoint = "admin.operator-token"  // OperatorTokenRequest → OperatorTokenReply
	EndpointOperatorList   Endpoint = "admin.operator-list"   // OperatorListRequest → OperatorListReply
	EndpointOperatorRevoke Endpoint = "admin.operator-revoke" // OperatorRevokeRequest → OperatorRevokeReply
	EndpointNATSConfig     Endpoint = "admin.nats-config"     // ExternalConfigRequest → ExternalConfigReply
	EndpointPublish        Endpoint = "admin.publish"         // PublishRequest → PublishReply
	EndpointWithdraw       Endpoint = "admin.withdraw"        // WithdrawRequest → WithdrawReply
	EndpointKeyAdd         Endpoint = "admin.key-add"         // KeyAddRequest → KeyAddReply
	EndpointKeyRetire      Endpoint = "admin.key-retire"      // KeyRetireRequest → KeyRetireReply
	EndpointLeaseFree      Endpoint = "admin.lease-free"      // LeaseFreeRequest → LeaseFreeReply
)

// Endpoints returns every call.
func Endpoints() []Endpoint {
	return []Endpoint{
		EndpointFleet, EndpointHost, EndpointEvents, EndpointHostLog, EndpointLeaseList, EndpointWithdrawals, EndpointKeyStatus, EndpointAudit,
		EndpointBuildLog,
		EndpointRolloutList, EndpointRolloutShow, EndpointRolloutPlan,
		EndpointReconcile, EndpointRolloutAct,
		EndpointHostAdd, EndpointHostRevoke, EndpointHostToken, EndpointHostReset,
		EndpointOperatorAdd, EndpointOperatorToken, EndpointOperatorList, EndpointOperatorRevoke, EndpointNATSConfig,
		EndpointPublish, EndpointWithdraw, EndpointKeyAdd, EndpointKeyRetire, EndpointLeaseFree,
	}
}

// Subject returns where the call is made, such as kedge.v1.api.viewer.fleet.
func (e Endpoint) Subject() string { return subjectRoot + "api." + string(e) }

// Name returns the call's name without its role, such as fleet.
func (e Endpoint) Name() string {
	_, name, _ := strings.Cut(string(e), ".")
	return name
}

// Role returns the least role that may make the call, such as viewer.
func (e Endpoint) Role() Role {
	role, _, _ := strings.Cut(string(e), ".")
	return Role(role)
}

// Reads reports whether the call changes nothing.
func (e Endpoint) Reads() bool {
	return e.Role() == RoleViewer || e == EndpointOperatorList || e == EndpointNATSConfig
}

// A Role is what an operator may do. Each includes those before it.
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"   // look
	RoleOperator Role = "operator" // and act within what is configured
	RoleAdmin    Role = "admin"    // and say what runs where, and who is who
)

// Includes reports whether r may do what o may.
func (r Role) Includes(o Role) bool {
	return o.Subjects() != nil && len(r.Subjects()) >= len(o.Subjects())
}

// ServiceName is the name of the micro service.
const ServiceName = "kedge"

// Subjects returns the patterns that role r may call.
func (r Role) Subjects() []string {
	switch r {
	case RoleViewer:
		return []string{subjectRoot + "api.viewer.>"}
	case RoleOperator:
		return append(RoleViewer.Subjects(), subjectRoot+"api.operator.>")
	case RoleAdmin:
		return append(RoleOperator.Subjects(), subjectRoot+"api.admin.>")
	}
	return nil
}

// MaxWait is the longest that a call may ask to wait for news.
const MaxWait = 30 * time.Second

// The most that a page may be asked for to have.
const (
	MaxHosts   = 1000
	MaxEvents  = 1000
	MaxEntries = 500 // of the audit
)

// A HostView is one host as the controller sees it.
type HostView struct {
	Host HostName `json:"host"`
	// Channel is the one that the host follows; empty if none has it in its newest
	// revision, or more than one.
	Channel string `json:"channel,omitempty"`
	// Want is what was last published for the host; zero before the first.
	Want Target `json:"want,omitzero"`
	// Status is what the host last said; nil if it never said anything.
	Status *Status `json:"status,omitempty"`
	// Seen is the controller's clock when the host was last heard of.
	Seen time.Time `json:"seen,omitzero"`
	// Silent is true when the host has not been heard of for three heartbeats.
	Silent bool `json:"silent"`
	// Key is the last one that the host was given credentials for; nil if none was.
	Key *HostKey `json:"key,omitempty"`
	// Rival is another machine that was this host, too; nil if there is none.
	Rival *Rival `json:"rival,omitempty"`
	// Problem says why the newest revision did not reach this host, such as a
	// build that failed; nil if it did.
	Problem *Problem `json:"problem,omitempty"`
	// Changes is how the toplevel that was last built, or published, for the host
	// differs from what it ran by then; nil if that is not known.
	Changes *Changes `json:"changes,omitempty"`
	// Waits is what has to come before the rollout under way gives this host something
	// new; nil if it waits for nothing, or has it.
	Waits *RolloutWait `json:"waits,omitempty"`
}

// Revoked reports whether the host is let in no more: the last key that it was given
// credentials for was revoked.
func (v HostView) Revoked() bool { return v.Key != nil && !v.Key.Revoked.IsZero() }

// A Rival is a second machine with a host's credentials.
type Rival struct {
	Seen    time.Time `json:"seen"`    // when it was last heard of
	Message string    `json:"message"` // how it is told from the host
}

// A Target is what a host shall run.
type Target struct {
	Serial    Serial    `json:"serial"`
	Toplevel  StorePath `json:"toplevel"`
	Revision  Revision  `json:"revision,omitzero"`
	Published time.Time `json:"published"`
	Release   Digest    `json:"release,omitzero"` // of the release's payload
}

// A Problem is why something could not be done for a host.
type Problem struct {
	Reason   Reason    `json:"reason"`
	Message  string    `json:"message"`
	Revision Revision  `json:"revision,omitzero"`
	Time     time.Time `json:"time"`
}

// A FleetRequest asks for the fleet. If After is not zero the reply waits, up
// to Wait, until the fleet is newer than that.
type FleetRequest struct {
	After uint64        `json:"after,omitempty"` // a FleetReply's Version
	Wait  time.Duration `json:"wait,omitempty"`  // nanoseconds, at most MaxWait
	Limit int           `json:"limit,omitempty"` // of hosts, at most 1000; zero is as many as a reply holds
	// Continue is that of the page before, of which this one is the next; it does not
	// wait.
	Continue HostName `json:"continue,omitzero"`
}

// A FleetReply is the fleet, or a page of it, sorted by host.
type FleetReply struct {
	Version uint64     `json:"version"` // grows with every change; begins anew with the controller
	Hosts   []HostView `json:"hosts"`
	// Continue is what to send for the next page; empty if there are no more hosts.
	Continue HostName       `json:"continue,omitzero"`
	Sources  []SourceStatus `json:"sources,omitempty"` // sorted by channel; none if nothing is built here
	// Rollouts are those under way, and the last one of a channel that has none, by
	// channel.
	Rollouts []RolloutView `json:"rollouts,omitempty"`
}

// A SourceStatus is how the controller stands to the git repository of a channel.
type SourceStatus struct {
	Channel  string    `json:"channel"`
	URL      string    `json:"url,omitempty"`
	Branch   string    `json:"branch,omitempty"`
	Revision Revision  `json:"revision,omitzero"` // the newest that was seen
	Built    Revision  `json:"built,omitzero"`    // the newest that was built
	Checked  time.Time `json:"checked,omitzero"`  // when the last look began that has ended
	Found    time.Time `json:"found,omitzero"`    // when the look began that first saw Revision
	// Working is true while Revision is being built and published, or what failed
	// of it tried again.
	Working bool `json:"working,omitempty"`
	// Error says why the last look failed, or what of the newest revision is not
	// published, and Reason says it in a word; both are empty if all is well.
	Error  string `json:"error,omitempty"`
	Reason Reason `json:"reason,omitempty"`
	// PushedOver is the last force-push that was let through; nil if there was none.
	PushedOver *ForcePush `json:"pushed_over,omitempty"`
}

// A ForcePush says that a revision does not follow from the one that was deployed
// before it.
type ForcePush struct {
	Revision Revision  `json:"revision"`
	Over     Revision  `json:"over"` // what was deployed
	Time     time.Time `json:"time"`
}

// IsBuilt reports whether the newest revision is built.
func (s SourceStatus) IsBuilt() bool { return s.Built == s.Revision && !s.Revision.IsZero() }

// Over returns the force-push that the newest revision is, if it is one that was let
// through, and nil otherwise.
func (s SourceStatus) Over() *ForcePush {
	if s.PushedOver == nil || s.PushedOver.Revision != s.Revision {
		return nil
	}
	return s.PushedOver
}

// A HostRequest asks for one host, waiting as a [FleetRequest] does.
type HostRequest struct {
	Host  HostName      `json:"host"`
	After uint64        `json:"after,omitempty"`
	Wait  time.Duration `json:"wait,omitempty"`
}

// A HostReply is one host.
type HostReply struct {
	Version uint64   `json:"version"`
	Host    HostView `json:"host"`
}

// An EventsRequest asks for events after a sequence number, oldest first.
type EventsRequest struct {
	After uint64        `json:"after,omitempty"`
	Host  HostName      `json:"host,omitzero"`   // of this host only
	Limit int           `json:"limit,omitempty"` // at most 1000; zero means 100
	Last  bool          `json:"last,omitempty"`  // the newest Limit events, whatever After says
	Wait  time.Duration `json:"wait,omitempty"`  // for the first one, nanoseconds, at most MaxWait
}

// An EventsReply is a page of events.
type EventsReply struct {
	Events []NumberedEvent `json:"events"`
	Next   uint64          `json:"next"` // what to send as After for the next page
}

// A NumberedEvent is an event with its place in the history.
type NumberedEvent struct {
	Seq   uint64 `json:"seq"`
	Event Event  `json:"event"`
}

// A ReconcileRequest asks the controller to look at its sources at once, and to
// ring the doorbells of Hosts.
type ReconcileRequest struct {
	Hosts []HostName `json:"hosts,omitempty"`
}

// A ReconcileReply says that the controller will look.
type ReconcileReply struct {
	Sources []SourceStatus `json:"sources"` // as they stood when the request came
	// Time is the controller's clock at that instant: a look that the request
	// asked for began after it.
	Time time.Time `json:"time,omitzero"`
}

// A HostAddRequest asks for credentials. The private half of the key never
// leaves who made it.
type HostAddRequest struct {
	Host      HostName `json:"host"`
	PublicKey string   `json:"public_key"` // a NATS user NKey, "U…"
}

// A HostAddReply holds what a host needs to connect and to trust.
type HostAddReply struct {
	JWT            string      `json:"jwt"`
	ReleaseKeys    []PublicKey `json:"release_keys"`
	ControllerKeys []PublicKey `json:"controller_keys"` // spare ones included
	CacheKeys      []string    `json:"cache_keys"`
	Servers        []string    `json:"servers"`
	Caches         []string    `json:"caches"`
	Pins           []Pin       `json:"pins,omitempty"` // of the servers' and the caches' keys, if nobody vouches for them
	// ReleaseThreshold is how many release keys must sign a release.
	ReleaseThreshold int `json:"release_threshold,omitempty"`
	// RenewURLs are where a host whose credentials have expired gets new ones, such as
	// https://build.example/enroll.
	RenewURLs []string `json:"renew_urls,omitempty"`
}

// A PublishRequest asks to publish toplevels. It is refused whole if any of them
// cannot be published.
type PublishRequest struct {
	Targets []PublishTarget `json:"targets"`
}

// A PublishTarget is one toplevel for one host: a bare one, or one in a release that
// was signed elsewhere, which then says what and for whom.
type PublishTarget struct {
	Host     HostName  `json:"host,omitzero"`
	Toplevel StorePath `json:"toplevel,omitzero"`
	Mode     Mode      `json:"mode,omitempty"`
	Release  *Envelope `json:"release,omitempty"`
	// Assignment is signed by a spare key; nil has the controller make it.
	Assignment *Envelope `json:"assignment,omitempty"`
	// Downgrade allows a release that is older than one published before.
	Downgrade bool `json:"downgrade,omitempty"`
}

// A PublishReply says under which serials the toplevels were published.
type PublishReply struct {
	Published []Published `json:"published"`
}

// Published is one host's share of a [PublishReply].
type Published struct {
	Host    HostName `json:"host"`
	Serial  Serial   `json:"serial"`
	Changes *Changes `json:"changes,omitempty"` // as in a [HostView]
}
