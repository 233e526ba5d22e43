package replica

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/klauspost/compress/zstd"

	"kedge/internal/durable"
)

const (
	format1 = 1 // the only format of what is sealed so far
	format2 = 2 // of a list of the pieces of that
	keySize = 32
	// maxFile bounds what is unpacked: the largest is the rollout of a large fleet.
	maxFile = 64 << 20
	// maxSealed is what fits into a key in NATS, headers included.
	maxSealed = 980 << 10

	domain = "kedge state 1"
)

// ErrSealed says that something was sealed with another key, or changed.
var ErrSealed = errors.New("not sealed with the key of this controller (keys/state): restore the keys of the others with kedge-controller restore --keys-only")

// OpenKey returns the key in a file, which is made if there is none.
func OpenKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // documented never to fail
		err = durable.WriteFile(file, key, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("key of the shared state: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("key of the shared state: %s has %d bytes, want %d; restore it from a backup", file, len(key), keySize)
	}
	return key, nil
}

// content is one version of a file.
type content struct {
	version uint64
	gone    bool // the file was removed
	data    []byte
}

// A sealer seals and opens. Safe for concurrent use.
type sealer struct {
	aead cipher.AEAD
	zip  *zstd.Encoder
	open *zstd.Decoder
}

func newSealer(key []byte) (*sealer, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, domain, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	s := &sealer{}
	if s.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, err
	}
	if s.zip, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)); err != nil {
		return nil, err
	}
	s.open, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFile))
	return s, err
}

// headSize is how much comes before the data: the version, and whether there is any.
const headSize = 9

// seal returns what only unseal opens, for the same name.
func (s *sealer) seal(name string, c content) []byte {
	plain := binary.BigEndian.AppendUint64(nil, c.version)
	if c.gone {
		plain = append(plain, 1)
	} else {
		plain = s.zip.EncodeAll(c.data, append(plain, 0))
	}
	return s.aead.Seal([]byte{format1}, nil, plain, []byte(domain+"\x00"+name))
}

// unseal opens what seal returned. Errors wrap [ErrSealed] but for a format that is not
// known.
func (s *sealer) unseal(name string, sealed []byte) (content, error) {
	if len(sealed) == 0 {
		return content{}, fmt.Errorf("state %s: %w", name, ErrSealed)
	}
	if sealed[0] != format1 {
		return content{}, fmt.Errorf("state %s: format %d is newer than %d, which this version reads: use the version of the controller that leads", name, sealed[0], format2)
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], []byte(domain+"\x00"+name))
	if err != nil || len(plain) < headSize {
		return content{}, fmt.Errorf("state %s: %w", name, ErrSealed)
	}
	c := content{version: binary.BigEndian.Uint64(plain), gone: plain[headSize-1] != 0}
	if c.gone {
		return c, nil
	}
	if c.data, err = s.open.DecodeAll(plain[headSize:], nil); err != nil {
		return content{}, fmt.Errorf("state %s: %w", name, err)
	}
	return c, nil
}
