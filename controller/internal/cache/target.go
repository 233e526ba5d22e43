package cache

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"kedge/internal/nix"
	"kedge/proto"
)

// A Target is a further cache that closures are copied to: a URL, or whatever a command
// fills.
type Target struct {
	// URL is that of a binary cache, which Nix writes and signs for: file, http, https or
	// s3; or of the store of another machine, such as "ssh-ng://store@cache.example".
	URL            string
	SSHKeyFile     string // for ssh-ng; empty for what SSH finds by itself
	KnownHostsFile string // for ssh-ng; empty for SSH's own
	// CredentialsFile is read each time: for s3 it is AWS' credentials file, and the
	// controller signs requests itself; for http and https a netrc file. Empty for what
	// Nix finds by itself.
	CredentialsFile string
	// Command is run, by argument vector, with the systems on its standard input, a line
	// each, and copies them with all that they need.
	Command []string
	// TokenFile holds what Command finds in the environment, as TokenVariable. It is read
	// each time.
	TokenFile, TokenVariable string
	Timeout                  time.Duration // of one copy; zero for that of the cache
}

// variableName is that of an environment variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Problems returns everything that is wrong with t, each with the option's name.
func (t Target) Problems() []error {
	var problems []error
	switch {
	case (t.URL == "") == (len(t.Command) == 0):
		problems = append(problems, errors.New("url: must be set, or command, and not both"))
	case len(t.Command) == 0:
		problems = append(problems, t.urlProblems()...)
	case t.Command[0] == "" || slices.ContainsFunc(t.Command, func(s string) bool { return strings.ContainsRune(s, 0) }):
		problems = append(problems, errors.New("command: must begin with a program"))
	}
	if t.isSigned() || len(t.Command) > 0 {
		for key, file := range map[string]string{"ssh_key_file": t.SSHKeyFile, "known_hosts_file": t.KnownHostsFile} {
			if file != "" {
				problems = append(problems, fmt.Errorf("%s: must be empty without an ssh-ng URL", key))
			}
		}
	}
	if t.CredentialsFile != "" {
		problems = append(problems, t.credentialsProblems()...)
	}
	if t.TokenFile != "" || t.TokenVariable != "" {
		problems = append(problems, t.tokenProblems()...)
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}

func (t Target) urlProblems() []error {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil:
		return []error{fmt.Errorf("url: %w", err)}
	case u.Scheme == "ssh-ng":
		keys := map[string]string{"URL": "url", "KeyFile": "ssh_key_file", "KnownHostsFile": "known_hosts_file"}
		var problems []error
		for _, err := range t.ssh().Problems() {
			field, why, _ := strings.Cut(err.Error(), ": ")
			problems = append(problems, fmt.Errorf("%s: %s", keys[field], why))
		}
		return problems
	case !slices.Contains([]string{"file", "http", "https", "s3"}, u.Scheme):
		return []error{fmt.Errorf("url: must be a file, http, https, s3 or ssh-ng URL, got %q", t)}
	case u.User != nil:
		return []error{fmt.Errorf("url: must hold no user and no password, which are for netrc, or for AWS' files: that at %s does", u.Host)}
	case u.Query().Has("secret-key") || u.Query().Has("secret-keys"):
		return []error{fmt.Errorf("url: must name no key: the controller's cache key signs what goes to %s", t)}
	case u.Scheme == "file" && (u.Host != "" || !plainPath.MatchString(u.Path)), u.Scheme != "file" && u.Host == "":
		return []error{fmt.Errorf("url: must name a host, or a file an absolute path, got %q", t)}
	case t.isBucket():
		if _, _, err := t.bucketURL(); err != nil {
			return []error{err}
		}
	}
	return nil
}

func (t Target) credentialsProblems() []error {
	var problems []error
	scheme, _, _ := strings.Cut(t.URL, ":")
	if !slices.Contains([]string{"s3", "http", "https"}, scheme) {
		problems = append(problems, errors.New("credentials_file: must be empty without an s3, http or https URL"))
	}
	if !filepath.IsAbs(t.CredentialsFile) || strings.HasPrefix(t.CredentialsFile, proto.StoreDir) {
		problems = append(problems, fmt.Errorf("credentials_file: must be an absolute path, not in the Nix store, got %q", t.CredentialsFile))
	}
	return problems
}

func (t Target) tokenProblems() []error {
	var problems []error
	if len(t.Command) == 0 {
		problems = append(problems, errors.New("token_file: must be empty without command"))
	}
	if !filepath.IsAbs(t.TokenFile) || strings.HasPrefix(t.TokenFile, proto.StoreDir) {
		problems = append(problems, fmt.Errorf("token_file: must be an absolute path, not in the Nix store, got %q", t.TokenFile))
	}
	if !variableName.MatchString(t.TokenVariable) {
		problems = append(problems, fmt.Errorf("token_variable: must name the variable that the command finds the token in, such as CACHIX_AUTH_TOKEN, got %q", t.TokenVariable))
	}
	return problems
}

// String returns what t is called: its URL without parameters, or its command.
func (t Target) String() string {
	if len(t.Command) > 0 {
		return strings.Join(t.Command, " ")
	}
	name, _, _ := strings.Cut(t.URL, "?")
	return name
}

// isSigned reports whether Nix signs what it copies to t.
func (t Target) isSigned() bool { return t.URL != "" && !strings.HasPrefix(t.URL, "ssh-ng:") }

// dir returns the directory that t is on this machine; ok is false if it is none.
func (t Target) dir() (dir string, ok bool) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	return u.Path, true
}

// isBucket reports whether the controller itself speaks S3 with t.
func (t Target) isBucket() bool {
	return strings.HasPrefix(t.URL, "s3:") && t.CredentialsFile != ""
}

// withKey returns the URL of t for Nix, which signs with a key if it is asked to.
func (t Target) withKey(keyFile string, signing bool) (string, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "", err
	}
	query := u.Query()
	if signing {
		query.Set("secret-key", keyFile)
	}
	if !query.Has("compression") {
		query.Set("compression", "zstd")
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func (t Target) ssh() nix.SSHStore {
	return nix.SSHStore{URL: t.URL, KeyFile: t.SSHKeyFile, KnownHostsFile: t.KnownHostsFile}
}
