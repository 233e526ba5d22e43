package nix

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// An SSHStore is the store of another machine, with a Nix of its own, that is reached by
// SSH. Its host key must be known. The zero value is none.
type SSHStore struct {
	URL            string // such as "ssh-ng://builder@big.example:2222"
	KeyFile        string // of the private key; empty for what SSH finds by itself
	KnownHostsFile string // no others count then; empty for SSH's own
}

// plainArgument is what Nix passes on to SSH in one piece, whichever version it is.
var plainArgument = regexp.MustCompile(`^[A-Za-z0-9/._@:%+-]+$`)

// Problems returns what is wrong with s, each with the name of the field.
func (s SSHStore) Problems() []error {
	var problems []error
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "ssh-ng" || u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || u.Path != "":
		problems = append(problems, fmt.Errorf(`URL: must be like "ssh-ng://builder@big.example", got %q`, s.URL))
	case hasPassword(u):
		problems = append(problems, errors.New("URL: must not hold a password"))
	}
	for field, path := range map[string]string{"KeyFile": s.KeyFile, "KnownHostsFile": s.KnownHostsFile} {
		if path != "" && (!filepath.IsAbs(path) || !plainArgument.MatchString(path)) {
			problems = append(problems, fmt.Errorf("%s: must be an absolute path without blanks, got %q", field, path))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

func hasPassword(u *url.URL) bool {
	_, has := u.User.Password()
	return has
}

// store returns the URL of s for Nix. Old versions know no port in it.
func (s SSHStore) store() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return s.URL
	}
	if port := u.Port(); port != "" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.String()
}

// environ returns what tells Nix how to use SSH: never to ask anybody, and to notice
// when the other side is gone.
func (s SSHStore) environ() []string {
	options := []string{
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15",
		"-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4",
	}
	if u, err := url.Parse(s.URL); err == nil && u.Port() != "" {
		options = append(options, "-p", u.Port())
	}
	if s.KeyFile != "" {
		options = append(options, "-i", s.KeyFile, "-o", "IdentitiesOnly=yes")
	}
	if s.KnownHostsFile != "" {
		options = append(options, "-o", "GlobalKnownHostsFile=/dev/null", "-o", "UserKnownHostsFile="+s.KnownHostsFile)
	}
	return []string{"NIX_SSHOPTS=" + strings.Join(options, " ")}
}

// over returns c as it is run where it is to use s.
func (s SSHStore) over(c *CLI) *CLI {
	over := *c
	over.Environ = append(c.environ(), s.environ()...)
	return &over
}
