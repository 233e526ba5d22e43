package sign

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kedge/internal/durable"
	"kedge/internal/keyfile"
	"kedge/proto"
)

// maxKeys is how many keys of one role sign side by side: the present one, the
// next one, and room for a rotation that did not come to its end.
const maxKeys = 4

// retiredSuffix is what the name of a file ends with that has only the public half
// of a key any more.
const retiredSuffix = ".retired"

// Errors about keys that are to be retired, or added.
var (
	ErrNoSuchKey   = errors.New("no such key")
	ErrLastKey     = errors.New("it is the last one")
	ErrTooManyKeys = errors.New("too many keys")
)

// A ring is the keys of one role, which all sign: each in a file of one directory,
// "controller", "controller-2" and so on. A key that was retired leaves its public
// half in a file "controller.retired", so that its name is never given again.
type ring struct {
	dir  string
	role Role
	name string // of keys, without their number
	rand io.Reader

	keys []numbered // by number; at least one
	last int        // the highest number that was ever given
}

type numbered struct {
	number int
	key    proto.SecretKey
}

// openRing reads the keys of a role, and makes the first one.
func openRing(o Options, role Role) (*ring, error) {
	r := &ring{dir: o.Dir, role: role, name: "kedge-" + o.Name + "-" + string(role), rand: o.Rand}
	names, err := os.ReadDir(o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for the keys of the %s: %w", role, err)
	}
	for _, entry := range names {
		base, retired := strings.CutSuffix(entry.Name(), retiredSuffix)
		number, ours := numberOf(role, base)
		if !ours {
			continue
		}
		r.last = max(r.last, number)
		if retired {
			continue
		}
		key, err := keyfile.Read(filepath.Join(o.Dir, base))
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, numbered{number, key})
	}
	slices.SortFunc(r.keys, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	if len(r.keys) == 0 {
		_, err := r.add()
		return r, err
	}
	return r, nil
}

// numberOf returns which key of a role a file's name stands for.
func numberOf(role Role, name string) (int, bool) {
	if name == string(role) {
		return 1, true
	}
	text, found := strings.CutPrefix(name, string(role)+"-")
	number, err := strconv.Atoi(text)
	return number, found && err == nil && number > 1 && strconv.Itoa(number) == text
}

// file returns the path of a key's file.
func (r *ring) file(number int) string {
	if number == 1 {
		return filepath.Join(r.dir, string(r.role))
	}
	return filepath.Join(r.dir, string(r.role)+"-"+strconv.Itoa(number))
}

// add makes a further key, durably.
func (r *ring) add() (proto.PublicKey, error) {
	if len(r.keys) >= maxKeys {
		return proto.PublicKey{}, fmt.Errorf("%w: %d keys of the %s sign already", ErrTooManyKeys, len(r.keys), r.role)
	}
	number := r.last + 1
	key, err := keyfile.Open(r.file(number), r.name+"-"+strconv.Itoa(number), r.rand)
	if err != nil {
		return proto.PublicKey{}, err
	}
	r.keys, r.last = append(r.keys, numbered{number, key}), number
	return key.Public(), nil
}

// has reports whether a key of that name signs.
func (r *ring) has(name string) bool { return r.index(name) >= 0 }

func (r *ring) index(name string) int {
	return slices.IndexFunc(r.keys, func(k numbered) bool { return k.key.Public().Name() == name })
}

// retire makes a key sign no more: its secret half is gone for good when it
// returns nil.
func (r *ring) retire(name string) error {
	i := r.index(name)
	switch {
	case i < 0:
		return fmt.Errorf("retire %s: %w", name, ErrNoSuchKey)
	case len(r.keys) == 1:
		return fmt.Errorf("retire %s: %w of the %s; add the next one first", name, ErrLastKey, r.role)
	}
	k := r.keys[i]
	file := r.file(k.number)
	if err := durable.WriteFile(file+retiredSuffix, []byte(k.key.Public().String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("retire %s: %w", name, err)
	}
	if err := durable.Remove(file); err != nil {
		return fmt.Errorf("retire %s: %w", name, err)
	}
	r.keys = slices.Delete(r.keys, i, i+1)
	return nil
}

// retired reports whether a key of that name was retired. Files that cannot be read are an
// error if none of the others says so.
func (r *ring) retired(name string) (bool, error) {
	var problems []error
	for number := range r.last {
		key, err := readRetired(r.file(number+1) + retiredSuffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			problems = append(problems, fmt.Errorf("look for the retired key %s: %w", name, err))
		case key.Name() == name:
			return !r.has(name), nil // it signs on if it could not be destroyed
		}
	}
	return false, errors.Join(problems...)
}

func readRetired(file string) (proto.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return proto.PublicKey{}, err
	}
	key, err := proto.ParsePublicKey(strings.TrimSpace(string(text)))
	if err != nil {
		return proto.PublicKey{}, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// secrets returns the keys.
func (r *ring) secrets() []proto.SecretKey {
	keys := make([]proto.SecretKey, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.key
	}
	return keys
}

// public returns the public halves.
func (r *ring) public() []proto.PublicKey {
	keys := make([]proto.PublicKey, len(r.keys))
	for i, k := range r.keys {
		keys[i] = k.key.Public()
	}
	return keys
}
