package source

import (
	"errors"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// submoduleURL returns where a submodule is that .gitmodules of the repository at in
// gives a URL, which may be relative to that. Who can push wrote it, and it leads
// where a URL of a source may: over ssh or https, and on this machine to what lies
// beside the source alone. The errors never hold it.
func (r *Repository) submoduleURL(in location, text string) (location, error) {
	switch {
	case text == "":
		return location{}, errors.New("url: there is none")
	case strings.ContainsFunc(text, isControl):
		return location{}, errors.New("url: must not hold control characters")
	case strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../"):
		return r.relativeURL(in, text)
	}
	at, err := parseURL(text)
	if err == nil && at.local {
		return location{}, errors.New("url: must be relative, or lead elsewhere over ssh or https; it leads to a file of this machine")
	}
	return at, err
}

var errAbove = errors.New("url: leads out of where the repositories are")

func (r *Repository) relativeURL(in location, text string) (location, error) {
	if in.local {
		at := filepath.Join(in.path, text)
		beside, err := filepath.Rel(filepath.Dir(r.location.path), at)
		if err != nil || beside == "." || beside == ".." || strings.HasPrefix(beside, "../") {
			return location{}, errAbove
		}
		return parseURL(at)
	}
	if scheme, _, _ := strings.Cut(in.url, ":"); scheme != "ssh" && scheme != "https" || !strings.Contains(in.url, "://") {
		host, at, _ := strings.Cut(in.url, ":")
		joined, err := joinURL(at, text)
		if err != nil {
			return location{}, err
		}
		return parseURL(host + ":" + joined)
	}
	u, err := url.Parse(in.url)
	if err != nil { // parseURL has seen to that
		return location{}, errors.New("url: cannot be parsed")
	}
	joined, err := joinURL(u.Path, text)
	if err != nil {
		return location{}, err
	}
	u.Path, u.RawPath = joined, ""
	return parseURL(u.String())
}

// joinURL returns the path that text leads to from base.
func joinURL(base, text string) (string, error) {
	rooted := strings.HasPrefix(base, "/")
	joined := path.Join(strings.TrimPrefix(base, "/"), text)
	if joined == "." || joined == ".." || strings.HasPrefix(joined, "../") {
		return "", errAbove
	}
	if rooted {
		joined = "/" + joined
	}
	return joined, nil
}

// at returns those of c, which are for the repository at own, that are also for
// another one: the key and the token are for that server alone.
func (c Credentials) at(own, other location) Credentials {
	if own.server() == other.server() {
		return c
	}
	if strings.HasPrefix(other.url, "https://") || other.local {
		return Credentials{}
	}
	return Credentials{KnownHostsFile: c.KnownHostsFile} // no secret, and no others count
}

// server names the server of a repository, and the way there; empty for this machine.
func (l location) server() string {
	if l.local {
		return ""
	}
	if !strings.Contains(l.url, "://") {
		host, _, _ := strings.Cut(l.url, ":")
		return "ssh " + net.JoinHostPort(strings.ToLower(host[strings.LastIndex(host, "@")+1:]), "22")
	}
	u, err := url.Parse(l.url)
	if err != nil {
		return l.url
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"ssh": "22", "https": "443"}[u.Scheme]
	}
	return u.Scheme + " " + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
