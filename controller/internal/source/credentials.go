package source

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// defaultUser goes with a token: the hosting services look at the token alone.
const defaultUser = "git"

// Credentials say how the repository knows us, and we it. All of them are names of
// files, which are read at each use, so that what is in them can change. They reach
// git and ssh as names, and a token in the environment: no command line, no log and
// no error holds one. The zero value leaves it to git.
type Credentials struct {
	SSHKeyFile     string // a private key, for ssh alone
	KnownHostsFile string // the host keys that count, for ssh alone
	TokenFile      string // a token or password, for https alone
	User           string // goes with the token; defaults to "git"
}

// problems returns everything that is wrong with c for a repository at l.
func (c Credentials) problems(l location) (problems []error) {
	https := strings.HasPrefix(l.url, "https://")
	for _, f := range []struct {
		key, path string
		fits      bool
		transport string
	}{
		{"ssh_key_file", c.SSHKeyFile, !https && !l.local, "over ssh"},
		{"known_hosts_file", c.KnownHostsFile, !https && !l.local, "over ssh"},
		{"token_file", c.TokenFile, https, "at https://"},
	} {
		switch {
		case f.path == "":
		case !filepath.IsAbs(f.path) || strings.ContainsFunc(f.path, isSpecial):
			problems = append(problems, fmt.Errorf("%s: must be an absolute path of letters, digits and ._-@+=, got %q", f.key, f.path))
		case l.url != "" && !f.fits:
			problems = append(problems, fmt.Errorf("%s: is for a repository %s alone", f.key, f.transport))
		}
	}
	switch {
	case c.User == "":
	case c.TokenFile == "":
		problems = append(problems, errors.New("user: must be empty without token_file; for ssh it is a part of the URL"))
	case strings.Contains(c.User, ":") || strings.ContainsFunc(c.User, isControl):
		problems = append(problems, errors.New("user: must not hold a colon or control characters"))
	}
	return problems
}

// isSpecial reports whether a shell, or ssh's configuration, takes r for more than
// a part of a name.
func isSpecial(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-@+=", r)
}

// environ returns what git is to find in its environment to get to l.
func (c Credentials) environ(l location) (env []string, err error) {
	if c.SSHKeyFile != "" || c.KnownHostsFile != "" {
		ssh := sshCommand
		if c.SSHKeyFile != "" {
			if err := readable("ssh_key_file", c.SSHKeyFile); err != nil {
				return nil, err
			}
			ssh += " -oIdentitiesOnly=yes -oIdentityAgent=none -oIdentityFile=" + c.SSHKeyFile
		}
		if c.KnownHostsFile != "" {
			if err := readable("known_hosts_file", c.KnownHostsFile); err != nil {
				return nil, err
			}
			ssh += " -oStrictHostKeyChecking=yes -oGlobalKnownHostsFile=/dev/null -oUserKnownHostsFile=" + c.KnownHostsFile
		}
		env = append(env, "GIT_SSH_COMMAND="+ssh)
	}
	if c.TokenFile == "" {
		return env, nil
	}
	text, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("token_file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, isControl) {
		return nil, fmt.Errorf("token_file: %s must hold a token, on one line", c.TokenFile)
	}
	user := c.User
	if user == "" {
		user = defaultUser
	}
	u, err := url.Parse(l.url)
	if err != nil { // parseURL has seen to that
		return nil, errors.New("url: cannot be parsed")
	}
	// A helper is asked for one server alone: where that redirects to is not who was
	// given the token, and a header would go there, too. No other helper is told of it.
	return append(env, "GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=credential.helper", "GIT_CONFIG_VALUE_0=",
		"GIT_CONFIG_KEY_1=credential."+u.Scheme+"://"+u.Host+".helper", "GIT_CONFIG_VALUE_1="+tokenHelper,
		"KEDGE_GIT_USER="+user, "KEDGE_GIT_TOKEN="+token), nil
}

// tokenHelper is a credential helper of git, which a shell runs with what is to be done.
const tokenHelper = `!f() { test "$1" != get || printf 'username=%s\npassword=%s\n' "$KEDGE_GIT_USER" "$KEDGE_GIT_TOKEN"; }; f`

// readable reports why a file cannot be read. What is in it stays there.
func readable(key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return f.Close()
}
