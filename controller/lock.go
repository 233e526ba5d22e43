package controller

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockState makes sure that one controller at a time uses a state directory, for
// as long as the file that it returns is open.
func lockState(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another controller is using it")
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
}
