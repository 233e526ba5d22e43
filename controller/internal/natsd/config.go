package natsd

import (
	"fmt"
	"strings"

	"github.com/nats-io/jwt/v2"
)

// Config returns what a NATS server of somebody else's needs, as a piece of its
// configuration file. With selfSigned it returns the accounts for an operator that is
// not ours instead, each signed by itself, to be imported with nsc and signed there.
func (k *Keys) Config(r Revoked, selfSigned bool) (string, error) {
	accounts, err := k.accounts(r)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if selfSigned {
		b.WriteString(selfSignedHead)
		for _, a := range accounts[1:] {
			token, err := a.claims.Encode(a.key)
			if err != nil {
				return "", fmt.Errorf("account %s: %w", a.claims.Name, err)
			}
			fmt.Fprintf(&b, "\n# %s %s\n%s\n", a.claims.Name, a.claims.Subject, token)
		}
		return b.String(), nil
	}
	operator, err := k.operatorToken()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, configHead, operator, accounts[0].claims.Subject)
	for _, a := range accounts {
		token, err := a.claims.Encode(k.operator)
		if err != nil {
			return "", fmt.Errorf("account %s: %w", a.claims.Name, err)
		}
		fmt.Fprintf(&b, "  %s: %q # %s\n", a.claims.Subject, token, a.claims.Name)
	}
	b.WriteString("}\n")
	return b.String(), nil
}

// operatorToken returns the statement that a server trusts.
func (k *Keys) operatorToken() (string, error) {
	public := publicKeys{}
	claims := jwt.NewOperatorClaims(public.of(k.operator))
	claims.Name = serverName
	claims.SystemAccount = public.of(k.system)
	if public.err != nil {
		return "", public.err
	}
	return claims.Encode(k.operator)
}

const configHead = `# What a NATS server, or each server of a cluster, needs for Kedge. There is nothing
# secret in it. Who holds which private key:
#   operator, SYS, CTRL, HOSTS, OPS and the keys that sign hosts and operators: the
#   controller, in keys/nats.json below its state directory, and nobody else.
#   A host's, and an operator's, own key: that host, that operator.
# Set nats.url of the controller to this server. With a resolver of this type the
# controller tells it by itself who is revoked.
operator: %q
system_account: %s
max_payload: 8MB
jetstream {
  store_dir: "/var/lib/nats/jetstream"
}
resolver {
  type: full
  dir: "/var/lib/nats/accounts"
  allow_delete: false
  interval: "2m"
}
resolver_preload {
`

const selfSignedHead = `# The accounts that Kedge needs under an operator of yours. Each is signed by itself:
# save each to a file, then nsc import account --file FILE, and nsc push. CTRL needs
# JetStream. Who is revoked is in them: load them again when the controller says so.
# The private keys of the accounts stay with the controller; your operator's with you.
`
