package certificate

import (
	"crypto/tls"
	"fmt"
	"os"
	"time"
)

// files is a certificate in two files.
type files struct {
	certificate, key string
	seen             [2]mark // as they were read last
}

// mark tells one content of a file from the next, as far as one can without
// reading it.
type mark struct {
	size     int64
	modified time.Time
}

// read returns the certificate, unless both files are as they were. The error
// holds nothing of a key.
func (f *files) read() (cert *tls.Certificate, changed bool, err error) {
	var now [2]mark
	for i, file := range []string{f.certificate, f.key} {
		stat, err := os.Stat(file)
		if err != nil {
			return nil, false, fmt.Errorf("read TLS certificate: %w", err)
		}
		now[i] = mark{stat.Size(), stat.ModTime()}
	}
	if now == f.seen {
		return nil, false, nil
	}
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, false, fmt.Errorf("read TLS certificate %s with key %s: %w", f.certificate, f.key, err)
	}
	f.seen = now
	return &pair, true, nil
}
