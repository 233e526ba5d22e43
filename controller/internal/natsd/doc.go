// Package natsd runs the NATS server that a controller brings along, and keeps
// the keys that make somebody a host or an operator on it.
//
// The server runs in operator mode with four accounts. CTRL has JetStream and
// belongs to controllers. HOSTS and OPS, for agents and operators, have none:
// they reach a few subjects of CTRL through explicit imports, and within those
// each user reaches its own only, by the template of the key that signed it.
//
// The separation matters because NATS does not check reply subjects. In one
// account a host that may read its own desired state could have the answer
// stored as another host's; across accounts the answer goes nowhere but back.
//
// The controller itself connects with a URL and a credentials file, as to any
// server. A [Remote] is one of somebody else's that has the same accounts: see
// [Keys.Config].
//
// Credentials are taken back by naming their key in the account's revocations:
// see [Server.Revoke]. Which keys those are is not kept here.
//
// # On disk
//
// keys/nats.json holds every private key; it is to be backed up, and may not
// leave the machine. What the accounts may do is not stored but made from this
// package's code at each start, so that a new version's permissions take effect.
// nats/ holds JetStream's files; losing it loses history, and nothing that the
// controller cannot publish again. Once the disk was full the server stores
// nothing more until it is started anew: see [Server.Healthy].
package natsd
