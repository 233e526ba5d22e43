package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"kedge/proto"
)

// lookInterval is how often files are looked at.
const lookInterval = 30 * time.Second

// Options say which certificate to show.
type Options struct {
	// CertificateFile and KeyFile hold a chain, the server's own certificate
	// first, and its key, in PEM. Empty for a self-signed certificate.
	CertificateFile, KeyFile string
	// OwnKeyFile is where the key of a self-signed one is kept. Required.
	OwnKeyFile string
	// Names are the names and addresses that a self-signed one is for.
	Names []string
	// Changed hears of the pin of the first certificate, and of every later one.
	// Optional.
	Changed func(proto.Pin) error
	Now     func() time.Time // defaults to time.Now
	Log     *slog.Logger     // required
}

// A Certificate is the one that is shown now. Safe for concurrent use.
type Certificate struct {
	o     Options
	files files // zero for a self-signed one
	shown atomic.Pointer[tls.Certificate]
	limit *limiter
}

// Open reads the certificate, or makes one. The key of a self-signed one is on
// the disk when it returns.
func Open(o Options) (*Certificate, error) {
	if o.OwnKeyFile == "" || o.Log == nil {
		return nil, errors.New("open certificate: OwnKeyFile and Log are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Changed == nil {
		o.Changed = func(proto.Pin) error { return nil }
	}
	c := &Certificate{o: o, limit: newLimiter(o.Now)}
	if o.CertificateFile != "" {
		c.files = files{certificate: o.CertificateFile, key: o.KeyFile}
		_, err := c.reload()
		return c, err
	}
	cert, err := selfSigned(o)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return c, c.show(cert)
}

// SelfSigned reports whether hosts have to pin it, as nobody vouches for it.
func (c *Certificate) SelfSigned() bool { return c.files == files{} }

// Pin names the key that is shown now.
func (c *Certificate) Pin() proto.Pin { return proto.PinOf(c.leaf()) }

// Expires returns the last moment of the certificate that is shown now.
func (c *Certificate) Expires() time.Time { return c.leaf().NotAfter }

func (c *Certificate) leaf() *x509.Certificate { return c.shown.Load().Leaf }

// TLS returns what a server needs, for protocols that it names. It takes a
// bounded number of handshakes a second, in all and from each address: the
// others are cut off before they cost much.
func (c *Certificate) TLS(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if !c.limit.allow(hello.Conn.RemoteAddr()) {
				return nil, errTooMany
			}
			return c.shown.Load(), nil
		},
	}
}

// Run reads the files anew when they change, until ctx ends. Files that do not go
// together, or cannot be read, leave the certificate as it is.
func (c *Certificate) Run(ctx context.Context) error {
	if c.SelfSigned() {
		return nil
	}
	t := time.NewTicker(lookInterval)
	defer t.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		changed, err := c.reload()
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			c.o.Log.ErrorContext(ctx, "the new TLS certificate cannot be used; the old one is shown", "expires", c.Expires(), "err", err)
		case changed:
			said = ""
			c.o.Log.InfoContext(ctx, "shows a new TLS certificate", "expires", c.Expires(), "pin", c.Pin())
		}
	}
}

// reload reads the files if they changed since they were read last, and reports
// whether they did.
func (c *Certificate) reload() (changed bool, err error) {
	cert, changed, err := c.files.read()
	if err != nil || !changed {
		return false, err
	}
	return true, c.show(cert)
}

func (c *Certificate) show(cert *tls.Certificate) error {
	c.shown.Store(cert)
	return c.o.Changed(proto.PinOf(cert.Leaf))
}
