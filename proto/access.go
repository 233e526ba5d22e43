package proto

// An Access says how operators reach the controller. It is kept beside their
// credentials.
type Access struct {
	Format  int      `json:"format"`
	Servers []string `json:"servers"`
	Pins    []Pin    `json:"pins,omitempty"` // of the servers' keys; empty without TLS
	// CAFile is the path of a file, on the machine that this is kept on, with the
	// authorities to trust in place of Pins and the system's.
	CAFile string `json:"ca_file,omitempty"`
}

// maxAccess bounds the text of an [Access].
const maxAccess = 64 << 10

// Encode returns a as JSON.
func (a Access) Encode() ([]byte, error) {
	a.Format = Format1
	return encode("access", a)
}

// ParseAccess parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseAccess(b []byte) (Access, error) {
	var a Access
	if err := decode("access", b, maxAccess, &a); err != nil {
		return Access{}, err
	}
	return a, nil
}
