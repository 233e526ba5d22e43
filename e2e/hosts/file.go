package hosts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// openRoot opens the host's root directory: what its processes see if it runs, with /run and all; its disk if it is off.
func (m *Machine) openRoot() (*os.File, error) {
	if leader := m.LeaderPID(); leader != 0 {
		if f, err := os.Open("/proc/" + strconv.Itoa(leader) + "/root"); err == nil {
			return f, nil
		} // else it has ended just now, and its disk is left
	}
	return os.Open(m.Root())
}

// open opens name on the host, following symbolic links as the host does and never out of it.
func (m *Machine) open(name string, flags int, perm os.FileMode) (*os.File, error) {
	root, err := m.openRoot()
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", name, m.options.Name, err)
	}
	defer root.Close() // a directory, only resolved in
	how := &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(perm.Perm())
	}
	for {
		fd, err := unix.Openat2(int(root.Fd()), name, how)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) { // a rename passed by; see openat2(2)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open %s of %s: %w", name, m.options.Name, err)
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

// ReadFile returns the content of a file of the host, whether the machine is on or off. The error wraps os.ErrNotExist if
// there is none.
func (m *Machine) ReadFile(name string) ([]byte, error) {
	f, err := m.open(name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	content, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", name, m.options.Name, err)
	}
	return content, nil
}

// WriteFile replaces the content of a file of the host, or makes the file with its directories, and sets its mode, whether the
// machine is on or off. The content is on the disk when it returns.
func (m *Machine) WriteFile(name string, content []byte, mode os.FileMode) error {
	if err := m.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	f, err := m.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s of %s: %w", name, m.options.Name, err)
	}
	return nil
}

// mkdirAll makes the directory name and what leads to it.
func (m *Machine) mkdirAll(name string) error {
	if name == "/" || name == "." {
		return nil
	}
	if err := m.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	parent, err := m.open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer parent.Close() // a directory, only resolved in
	if err := unix.Mkdirat(int(parent.Fd()), path.Base(name), 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make directory %s of %s: %w", name, m.options.Name, err)
	}
	return nil
}

// Readlink returns where a symbolic link of the host points, as it is written there. The error wraps os.ErrNotExist if
// there is none.
func (m *Machine) Readlink(name string) (string, error) {
	parent, err := m.open(path.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer parent.Close() // a directory, only resolved in
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(parent.Fd()), path.Base(name), target)
	if err != nil {
		return "", fmt.Errorf("read link %s of %s: %w", name, m.options.Name, err)
	}
	return string(target[:n]), nil
}

// Exists reports whether the host has something under that name, following symbolic links.
func (m *Machine) Exists(name string) (bool, error) {
	f, err := m.open(name, unix.O_PATH, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}
