package source

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// parseURL accepts what leads to a repository over a transport that
// authenticates it: a path, file, ssh or https. The errors never hold the URL:
// it may have a password in it. Without a path, ? and # would end the host here, and for
// git be a part of it.
func parseURL(s string) (location, error) {
	switch {
	case s == "":
		return location{}, errors.New("url: must name a repository")
	case strings.HasPrefix(s, "-") || strings.ContainsFunc(s, isControl):
		return location{}, errors.New("url: must not begin with a hyphen or hold control characters")
	case filepath.IsAbs(s):
		return location{url: filepath.Clean(s), local: true, path: filepath.Clean(s)}, nil
	case !strings.Contains(s, "://"):
		return parseSCP(s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return location{}, errors.New("url: cannot be parsed")
	}
	if _, has := u.User.Password(); has {
		return location{}, errors.New("url: must not hold a password; use ssh_key_file or token_file")
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return location{}, errors.New("url: must be file:///path")
		}
		return location{url: s, local: true, path: filepath.Clean(u.Path)}, nil
	case "ssh":
		if u.Host == "" || u.Path == "" || strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User.Username(), "-") {
			return location{}, errors.New("url: must be ssh://[user@]host/path")
		}
		return location{url: s}, nil
	case "https":
		// A user name alone may be a token.
		if u.Host == "" || u.Path == "" || u.User != nil {
			return location{}, errors.New("url: must be https://host/path without a user; use user and token_file")
		}
		return location{url: s}, nil
	default:
		return location{}, fmt.Errorf("url: must be a path, file://, ssh:// or https:// (which authenticate what they bring), got %s://", u.Scheme)
	}
}

// parseSCP accepts git's short form of ssh, [user@]host:path.
func parseSCP(s string) (location, error) {
	host, p, ok := strings.Cut(s, ":")
	user, _, hasUser := strings.Cut(host, "@")
	switch {
	case !ok || host == "" || p == "" || strings.ContainsAny(host, "/[") || strings.HasPrefix(p, ":") || strings.HasPrefix(p, "-"): // "x::y" runs a program
		return location{}, errors.New("url: must be an absolute path, file://, ssh://, https:// or user@host:path")
	case hasUser && (user == "" || strings.HasPrefix(strings.TrimPrefix(host, user+"@"), "-")):
		return location{}, errors.New("url: must be user@host:path")
	}
	return location{url: s}, nil
}

// checkBranch reports why git would not take name for a branch; see
// git-check-ref-format.
func checkBranch(name string) error {
	bad := name == "" || name == "@" || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.ContainsAny(name, " ~^:?*[\\") || strings.ContainsFunc(name, isControl)
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return fmt.Errorf("branch: must be the name of a git branch, got %q", name)
	}
	return nil
}

// cleanSubdir returns dir as git and Nix write it, relative and with slashes.
func cleanSubdir(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	clean := path.Clean(dir)
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsFunc(clean, isControl) {
		return "", fmt.Errorf("subdir: must be a folder inside the repository, got %q", dir)
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
