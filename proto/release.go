package proto

import "fmt"

// A Release says that a toplevel was built for a host. It is made and signed
// where the system was built, by release keys, and does not expire. It does
// not say that the host shall run it: that is the [Assignment].
type Release struct {
	Format   int       `json:"format"`
	Host     HostName  `json:"host"`
	Serial   Serial    `json:"serial"` // counts the releases made for this host
	Toplevel StorePath `json:"toplevel"`
	Revision Revision  `json:"revision,omitzero"`
	// Closure is the digest of the toplevel's closure list; see [Closure].
	Closure Digest `json:"closure"`
}

// Sign returns r in an envelope, signed by every key.
func (r Release) Sign(keys ...SecretKey) (Envelope, error) {
	r.Format = Format1
	if err := r.validate(); err != nil {
		return Envelope{}, err
	}
	b, err := encode("release", r)
	if err != nil {
		return Envelope{}, err
	}
	return Seal(PayloadRelease, b, keys...), nil
}

// OpenRelease verifies e and returns the release in it; see [Envelope.Open].
func OpenRelease(e Envelope, trusted []PublicKey, threshold int) (Release, error) {
	b, err := e.Open(PayloadRelease, trusted, threshold)
	if err != nil {
		return Release{}, fmt.Errorf("release: %w", err)
	}
	return parseRelease(b)
}

// ReadRelease returns what e says, whoever signed it: for showing it to people,
// and for signing it, too. It is not to be acted on.
func ReadRelease(e Envelope) (Release, error) {
	if e.PayloadType != PayloadRelease {
		return Release{}, fmt.Errorf("release: %w: it is a %q", ErrMalformed, e.PayloadType)
	}
	return parseRelease(e.Payload)
}

func parseRelease(b []byte) (Release, error) {
	var r Release
	if err := decode("release", b, MaxDesired, &r); err != nil {
		return Release{}, err
	}
	return r, r.validate()
}

func (r Release) validate() error {
	if r.Host.IsZero() || r.Toplevel.IsZero() || r.Closure.IsZero() || r.Serial == 0 {
		return fmt.Errorf("release: %w: host, serial, toplevel and closure are required", ErrMalformed)
	}
	return nil
}
