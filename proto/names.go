package proto

import (
	"fmt"
	"strings"
)

// Names of JetStream assets, all in the account CTRL.
const (
	BucketDesired = "kedge-desired" // KV: a host's name → its desired state
	BucketControl = "kedge-control" // KV: the leader lease, and who may reboot

	StreamStatus = "KEDGE_STATUS" // the last status of every host
	StreamEvents = "KEDGE_EVENTS" // what happened on the hosts
	StreamLogs   = "KEDGE_LOGS"   // activation logs
	StreamAudit  = "KEDGE_AUDIT"  // what controllers and operators did

	// StreamDesired is the stream behind [BucketDesired].
	StreamDesired = "KV_" + BucketDesired
	// StreamControl is the stream behind [BucketControl].
	StreamControl = "KV_" + BucketControl
	// KeyLeader is the key of [BucketControl] that says which controller acts, and
	// StatePrefix what those keys begin with that hold a controller's state, sealed.
	KeyLeader   = "leader"
	StatePrefix = "state."
	// PiecePrefix is what those keys begin with that hold what does not fit into one.
	PiecePrefix = "piece."
	// KeyLeases is the key of [BucketControl] that says who may reboot.
	KeyLeases = "reboot-leases"
	// ConsumerEvents is the controllers' one durable consumer of events.
	ConsumerEvents = "kedge-controller"
)

const (
	subjectRoot = "kedge.v1."
	desiredKeys = "$KV." + BucketDesired + "."
	controlKeys = "$KV." + BucketControl + "."
)

// InboxRoot is what the inbox of a user, where answers to it arrive, is named
// after: its public key follows. Nobody else may listen there.
const InboxRoot = "_INBOX."

// Patterns that name a subject of every host.
const (
	AllDesiredKeys   = desiredKeys + "*"
	AllDoorbells     = subjectRoot + "desired.*"
	AllGetDesired    = subjectRoot + "get.desired.*"
	AllStatus        = subjectRoot + "status.*"
	AllEvents        = subjectRoot + "event.*"
	AllLogs          = subjectRoot + "log.*"
	AllHeartbeats    = subjectRoot + "hb.*"
	AllLeases        = subjectRoot + "lease.*"
	AllRenewals      = subjectRoot + "renew.*"
	AllAudit         = subjectRoot + "audit.>"
	AllAPI           = subjectRoot + "api.>"
	DirectGetDesired = "$JS.API.DIRECT.GET." + StreamDesired + "." + AllDesiredKeys
	// DoorbellTemplate is where the server republishes a key of
	// [BucketDesired]: NATS' transform syntax.
	DoorbellTemplate = subjectRoot + "desired.{{wildcard(1)}}"
)

// DesiredKeySubject is where the server keeps the desired state of h.
func DesiredKeySubject(h HostName) string { return desiredKeys + h.s }

// ControlKeySubject is where the server keeps a key of [BucketControl].
func ControlKeySubject(key string) string { return controlKeys + key }

// ControlKey returns the key that the server keeps at subject.
func ControlKey(subject string) (key string, ok bool) { return strings.CutPrefix(subject, controlKeys) }

// DoorbellSubject is where the server says, without a payload, that the
// desired state of h changed.
func DoorbellSubject(h HostName) string { return subjectRoot + "desired." + h.s }

// GetDesiredSubject is where h asks for its desired state.
func GetDesiredSubject(h HostName) string { return subjectRoot + "get.desired." + h.s }

// StatusSubject is where h says how it is.
func StatusSubject(h HostName) string { return subjectRoot + "status." + h.s }

// EventSubject is where h says what happened.
func EventSubject(h HostName) string { return subjectRoot + "event." + h.s }

// LogSubject is where h says what an activation said.
func LogSubject(h HostName) string { return subjectRoot + "log." + h.s }

// HeartbeatSubject is where h says that it lives.
func HeartbeatSubject(h HostName) string { return subjectRoot + "hb." + h.s }

// LeaseSubject is where h asks for leave to reboot: a [LeaseRequest], answered
// with a [LeaseReply].
func LeaseSubject(h HostName) string { return subjectRoot + "lease." + h.s }

// RenewSubject is where h says who it is, and asks for credentials that are valid
// for longer: a [RenewRequest], answered with a [RenewReply].
func RenewSubject(h HostName) string { return subjectRoot + "renew." + h.s }

// HostOfSubject returns the host that a subject such as [StatusSubject] ends
// with. The server's permissions make sure that only that host writes there.
func HostOfSubject(subject string) (HostName, error) {
	i := strings.LastIndexByte(subject, '.')
	if i < 0 || !strings.HasPrefix(subject, subjectRoot) {
		return HostName{}, fmt.Errorf("%w: subject %q ends with no host", ErrInvalidHostName, subject)
	}
	return ParseHostName(subject[i+1:])
}
