package statefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process runs the transaction, or changes its record.
var ErrLocked = errors.New("another transaction is running")

// A Lock is the right to run the transaction. It ends with Unlock or with the
// process, however that ends. Processes that it starts do not inherit it.
type Lock struct{ file *os.File }

// LockPath returns the file that is locked, so that one can see who has it.
func (d Dir) LockPath() string { return filepath.Join(d.Runtime, lockFile) }

// LockTransaction takes the lock, or returns an error that wraps [ErrLocked] at
// once if somebody has it.
func (d Dir) LockTransaction() (*Lock, error) {
	path := d.LockPath()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, contactPerm)
	if err != nil {
		return nil, fmt.Errorf("lock transaction: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("lock transaction: %s: %w", path, errors.Join(err, f.Close()))
	}
	return &Lock{file: f}, nil
}

// TransactionLocked reports whether somebody has the lock. A transaction that
// asks for it in this very moment is refused.
func (d Dir) TransactionLocked() (bool, error) {
	lock, err := d.LockTransaction()
	if errors.Is(err, ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, lock.Unlock()
}

// Unlock gives the lock back. The file stays, so that nobody locks another one
// under the same name.
func (l *Lock) Unlock() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("unlock transaction: %w", err)
	}
	return nil
}
