package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"kedge/internal/durable"
)

const (
	keyPerm fs.FileMode = 0o600
	keyType             = "PRIVATE KEY"
	// lifetime is no promise, and nobody who pins the key looks at it.
	lifetime = 20 * 365 * 24 * time.Hour
	// early is by how much the clocks of others may be behind ours.
	early      = 24 * time.Hour
	serialBits = 128
)

// selfSigned returns a certificate for o's names, with the key of o's file, which
// is made if there is none.
func selfSigned(o Options) (*tls.Certificate, error) {
	key, err := ownKey(o.OwnKeyFile)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "kedge-controller"},
		NotBefore:    o.Now().Add(-early),
		NotAfter:     o.Now().Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range o.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// ownKey reads the key, or makes it and is sure that it is on the disk. A file
// that others may read, or that holds no key, is an error and stays as it is.
func ownKey(file string) (*ecdsa.PrivateKey, error) {
	stat, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(file)
	}
	if err != nil {
		return nil, err
	}
	if perm := stat.Mode().Perm(); perm&^keyPerm != 0 {
		return nil, fmt.Errorf("%s may be read by others (%o): chmod 600 it, or remove it and enrol the hosts anew", file, perm)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyType {
		return nil, fmt.Errorf("%s holds no key in PEM", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s holds no key that can be used: %w", file, err)
	}
	own, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no ECDSA key", file)
	}
	return own, nil
}

func makeKey(file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := durable.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der}), keyPerm); err != nil {
		return nil, err
	}
	return key, nil
}
