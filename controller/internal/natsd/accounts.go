package natsd

import (
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"kedge/proto"
)

const (
	hostSubscriptions     = 8 // the doorbell, the inbox, and room to grow
	hostPayload           = 64 << 10
	operatorSubscriptions = 16
	operatorPayload       = 1 << 20

	// apiThreshold is how long the server keeps the way back of an answer.
	apiThreshold = 10 * time.Minute
)

// An account is an account's key and what the account may do.
type account struct {
	key    nkeys.KeyPair
	claims *jwt.AccountClaims
}

// Names of accounts, for people to read.
const (
	accountSystem    = "SYS"
	accountControl   = "CTRL"
	accountHosts     = "HOSTS"
	accountOperators = "OPS"
)

// accounts returns the four accounts as this version wants them, SYS first. They
// refuse who is revoked.
func (k *Keys) accounts(revoked Revoked) ([]account, error) {
	public := publicKeys{}
	system := jwt.NewAccountClaims(public.of(k.system))
	system.Name = accountSystem
	control := jwt.NewAccountClaims(public.of(k.control))
	k.describeControl(control, &public)
	hosts := jwt.NewAccountClaims(public.of(k.hosts))
	k.describeHosts(hosts, &public)
	operators := jwt.NewAccountClaims(public.of(k.operators))
	k.describeOperators(operators, &public)
	if public.err != nil {
		return nil, public.err
	}
	revoke(hosts, revoked.Hosts)
	revoke(operators, revoked.Operators)
	return []account{{k.system, system}, {k.control, control}, {k.hosts, hosts}, {k.operators, operators}}, nil
}

// describeControl makes c CTRL: the only account with JetStream.
func (k *Keys) describeControl(c *jwt.AccountClaims, public *publicKeys) {
	c.Name = accountControl
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit,
		DiskStorage:   jwt.NoLimit,
		Streams:       jwt.NoLimit,
		Consumer:      jwt.NoLimit,
	}
	c.Exports.Add(
		export(proto.AllDoorbells, jwt.Stream),
		export(proto.DirectGetDesired, jwt.Service),
		export(proto.AllStatus, jwt.Service),
		export(proto.AllEvents, jwt.Service),
		export(proto.AllLogs, jwt.Service),
		export(proto.AllLeases, jwt.Service),
		export(proto.AllRenewals, jwt.Service),
	)
	api := export(proto.AllAPI, jwt.Service)
	api.ResponseThreshold = apiThreshold
	c.Exports.Add(api)
	c.Imports.Add(imported(public.of(k.hosts), proto.AllHeartbeats, jwt.Stream))
}

// describeHosts makes c HOSTS.
func (k *Keys) describeHosts(c *jwt.AccountClaims, public *publicKeys) {
	control := public.of(k.control)
	c.Name = accountHosts
	c.Limits.DisallowBearer = true
	c.Exports.Add(export(proto.AllHeartbeats, jwt.Stream))
	get := imported(control, proto.DirectGetDesired, jwt.Service)
	get.LocalSubject = jwt.RenamingSubject(strings.Replace(proto.AllGetDesired, "*", "$1", 1))
	c.Imports.Add(
		get,
		imported(control, proto.AllDoorbells, jwt.Stream),
		imported(control, proto.AllStatus, jwt.Service),
		imported(control, proto.AllEvents, jwt.Service),
		imported(control, proto.AllLogs, jwt.Service),
		imported(control, proto.AllLeases, jwt.Service),
		imported(control, proto.AllRenewals, jwt.Service),
	)
	c.SigningKeys.AddScopedSigner(scope(public.of(k.host), "host", hostSubscriptions, hostPayload,
		[]string{
			own(proto.AllGetDesired),
			own(proto.AllStatus),
			own(proto.AllEvents),
			own(proto.AllLogs),
			own(proto.AllHeartbeats),
			own(proto.AllLeases),
			own(proto.AllRenewals),
		},
		own(proto.AllDoorbells)))
}

// describeOperators makes c OPS. The server tells the service who calls.
func (k *Keys) describeOperators(c *jwt.AccountClaims, public *publicKeys) {
	c.Name = accountOperators
	c.Limits.DisallowBearer = true
	api := imported(public.of(k.control), proto.AllAPI, jwt.Service)
	api.Share = true
	c.Imports.Add(api)
	for _, r := range roles() {
		c.SigningKeys.AddScopedSigner(scope(public.of(k.roles[r]), string(r), operatorSubscriptions, operatorPayload, r.Subjects()))
	}
}

// own narrows a pattern for every host to the host who connects.
func own(pattern string) string { return strings.Replace(pattern, "*", "{{name()}}", 1) }

// scope returns what users may do who are signed with key: publish, subscribe,
// and hear answers in an inbox that is named after their key.
func scope(key, role string, subscriptions, payload int64, publish []string, subscribe ...string) *jwt.UserScope {
	s := jwt.NewUserScope()
	s.Key = key
	s.Role = role
	s.Template.Pub.Allow = publish
	s.Template.Sub.Allow = append(subscribe, proto.InboxRoot+"{{subject()}}.>")
	s.Template.Subs = subscriptions
	s.Template.Payload = payload
	s.Template.AllowedConnectionTypes = []string{jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket}
	return s
}

func export(subject string, kind jwt.ExportType) *jwt.Export {
	return &jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: kind}
}

func imported(from, subject string, kind jwt.ExportType) *jwt.Import {
	return &jwt.Import{Name: subject, Account: from, Subject: jwt.Subject(subject), Type: kind}
}

// publicKeys returns public halves and remembers the first error.
type publicKeys struct{ err error }

func (p *publicKeys) of(pair nkeys.KeyPair) string {
	key, err := pair.PublicKey()
	if err != nil && p.err == nil {
		p.err = err
	}
	return key
}
