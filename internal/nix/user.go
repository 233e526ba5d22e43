package nix

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A User is an account of this machine that runs what is somebody else's: a flake. It can
// read what it may read, whatever the flake asks for, and writes to the store through
// nix-daemon alone.
type User struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// LookupUser returns the account with that name, and the groups that it is in now. Root,
// and who is in root's group, is none, by whatever name: it may read what is not to be read. Its
// home must be a directory of its own: Nix keeps in there what it has fetched.
func LookupUser(name string) (*User, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	groups, err := found.GroupIds()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, text := range append([]string{found.Uid, found.Gid}, groups...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(id))
	}
	if slices.Contains(ids, 0) {
		return nil, fmt.Errorf("%s is root, or in its group", name)
	}
	home, err := os.Stat(found.HomeDir)
	if err != nil {
		return nil, fmt.Errorf("the home of %s: %w", name, err)
	}
	if owner, known := home.Sys().(*syscall.Stat_t); !home.IsDir() || !known || owner.Uid != ids[0] {
		return nil, fmt.Errorf("the home of %s, %s, must be a directory of its own", name, found.HomeDir)
	}
	return &User{uid: ids[0], gid: ids[1], groups: ids[2:], home: found.HomeDir}, nil
}

// passed are the variables that a program of another user gets: what else there is is
// for this process alone.
var passed = []string{
	"PATH", "LC_ALL", "NO_COLOR", "TZ", "TZDIR", "LOCALE_ARCHIVE",
	"NIX_CONFIG", "NIX_USER_CONF_FILES", "NIX_CONF_DIR", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
	"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
}

// become has a command that was not started run as u.
func (u *User) become(cmd *exec.Cmd) {
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: u.groups}
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !slices.Contains(passed, name)
	})
	cmd.Env = append(cmd.Env, "HOME="+u.home)
	cmd.Dir = "/" // ours may be where it cannot go, and leads past that
}

// evaluator returns what an evaluation is run with: who is not trusted by nix-daemon
// may not tell it how to build.
func (c *CLI) evaluator() *CLI {
	if c.Evaluator == nil {
		return c
	}
	return &CLI{BinDir: c.BinDir}
}

// daemonEnviron has Nix use nix-daemon.
func (c *CLI) daemonEnviron() []string {
	env := []string{"NIX_REMOTE=daemon"}
	if c.Socket != "" {
		env = append(env, "NIX_DAEMON_SOCKET_PATH="+c.Socket)
	}
	return env
}
