package natsd

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"kedge/proto"
	"kedge/proto/bus"
)

// HostJWT returns what makes the user with this public key ("U…") host name, until it
// expires; zero is never.
func (k *Keys) HostJWT(name proto.HostName, userPublicKey string, expires time.Time) (string, error) {
	if name.IsZero() {
		return "", errors.New("credentials of a host: a name is required")
	}
	token, err := scopedJWT(name.String(), userPublicKey, k.hosts, k.host, expires)
	if err != nil {
		return "", fmt.Errorf("credentials of host %s: %w", name, err)
	}
	return token, nil
}

// OperatorJWT returns what makes the user with this public key an operator, who is
// called name in the audit, until it expires; zero is never.
func (k *Keys) OperatorJWT(role proto.Role, name, userPublicKey string, expires time.Time) (string, error) {
	signer, ok := k.roles[role]
	if !ok {
		return "", fmt.Errorf("credentials of operator %q: unknown role %q", name, role)
	}
	if strings.TrimSpace(name) == "" || strings.ContainsFunc(name, isControl) {
		return "", fmt.Errorf("credentials of operator %q: a name in one line is required", name)
	}
	token, err := scopedJWT(name, userPublicKey, k.operators, signer, expires)
	if err != nil {
		return "", fmt.Errorf("credentials of operator %q: %w", name, err)
	}
	return token, nil
}

// OperatorCredentials returns the content of a .creds file, with a key made for
// it, for an operator who is called name in the audit.
func (k *Keys) OperatorCredentials(role proto.Role, name string) ([]byte, error) {
	id, err := bus.NewIdentity()
	if err != nil {
		return nil, fmt.Errorf("credentials of operator %q: %w", name, err)
	}
	token, err := k.OperatorJWT(role, name, id.PublicKey, time.Time{})
	if err != nil {
		return nil, err
	}
	return bus.FormatCredentials(token, id.Seed)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// controllerJWT returns what makes the controller a user of CTRL.
func (k *Keys) controllerJWT() (string, error) {
	claims := jwt.NewUserClaims(k.controller.PublicKey)
	claims.Name = proto.ServiceName + "-controller"
	return claims.Encode(k.control)
}

// scopedJWT returns a user JWT in account, whose permissions are the template of
// signer.
func scopedJWT(name, userPublicKey string, account, signer nkeys.KeyPair, expires time.Time) (string, error) {
	if !nkeys.IsValidPublicUserKey(userPublicKey) {
		return "", fmt.Errorf("%q is not the public key of a NATS user", userPublicKey)
	}
	issuer, err := account.PublicKey()
	if err != nil {
		return "", err
	}
	claims := jwt.NewUserClaims(userPublicKey)
	claims.Name = name
	claims.IssuerAccount = issuer
	claims.SetScoped(true)
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	return claims.Encode(signer)
}
