package controller

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"kedge/controller/internal/cache"
	"kedge/proto"
)

// A CacheConfig says where hosts find the binary cache.
type CacheConfig struct {
	// Embedded is whether the controller keeps a cache, and serves it. Without it hosts
	// fetch from those of Push.
	Embedded bool `config:"embedded"`
	// URLs are those of the embedded cache, as hosts reach it, or of the caches that take
	// its place; tried in order; they travel in every assignment.
	URLs []string `config:"urls"`
	// From are the URLs of caches that others fill, such as CI. What is published
	// and is not in the local store is fetched from there.
	From []string `config:"from"`
	// Upstream are the URLs of caches that hosts reach, too, such as
	// https://cache.nixos.org. What they have is not stored again: hosts are told
	// where it is. Their keys are in keys.cache.
	Upstream []string `config:"upstream"`
	// Push are further caches that closures are copied to before they are published.
	Push []PushConfig `config:"push"`
	// Public lets everybody read it, also without the token of an assignment.
	Public bool `config:"public"`
	// Retention is for how long the embedded cache keeps what no host runs, may go
	// back to or is assigned, and KeepRevisions of how many revisions of each source
	// it keeps all; see docs/caches.md.
	Retention     time.Duration `config:"retention"`
	KeepRevisions int           `config:"keep_revisions"`
	// MinFree is below how many free bytes only what is needed is kept.
	MinFree uint64 `config:"min_free"`
}

// A PushConfig says how closures are copied to a further cache.
type PushConfig struct {
	// URL is such as s3://bucket?region=…, or ssh-ng://store@cache.example.
	URL            string `config:"url"`
	SSHKeyFile     string `config:"ssh_key_file"`     // for ssh-ng; empty for what SSH finds by itself
	KnownHostsFile string `config:"known_hosts_file"` // for ssh-ng; empty for SSH's own
	// CredentialsFile is AWS' credentials file for s3, or a netrc file for http and https;
	// empty for what Nix finds by itself.
	CredentialsFile string `config:"credentials_file"`
	// Command copies in the place of Nix, such as cachix' or attic's: it is told the
	// systems on its standard input.
	Command []string `config:"command"`
	// TokenFile is read for what it finds in the environment, as TokenVariable.
	TokenFile     string        `config:"token_file"`
	TokenVariable string        `config:"token_variable"`
	Timeout       time.Duration `config:"timeout"` // of one copy; 0 for two hours
}

func (c PushConfig) target() cache.Target {
	return cache.Target{
		URL: c.URL, SSHKeyFile: c.SSHKeyFile, KnownHostsFile: c.KnownHostsFile, CredentialsFile: c.CredentialsFile,
		Command: c.Command, TokenFile: c.TokenFile, TokenVariable: c.TokenVariable, Timeout: c.Timeout,
	}
}

// own returns the URLs of the embedded cache, and others those of the caches that take its
// place: of these hosts expect neither the controller's certificate nor that they know a token.
func (c CacheConfig) own() []string {
	if !c.Embedded {
		return nil
	}
	return c.URLs
}

func (c CacheConfig) others() []string {
	if c.Embedded {
		return nil
	}
	return c.URLs
}

// targets returns the further caches.
func (c CacheConfig) targets() []cache.Target {
	var targets []cache.Target
	for _, p := range c.Push {
		targets = append(targets, p.target())
	}
	return targets
}

// Bounds of the retention: what was pushed must outlive its rollout.
const minRetention, maxRetention = time.Hour, 5 * 365 * 24 * time.Hour

func defaultCache() CacheConfig {
	return CacheConfig{Embedded: true, Retention: 7 * 24 * time.Hour, KeepRevisions: 3, MinFree: 1 << 30}
}

func (c CacheConfig) problems() []error {
	problems := []error{between("cache.retention", c.Retention, minRetention, maxRetention)}
	if len(c.URLs) == 0 {
		problems = append(problems, errors.New(`cache.urls: must name at least one URL under which hosts reach the binary cache, such as "https://build.example/cache"`))
	}
	problems = append(problems, within("cache.keep_revisions", c.KeepRevisions, minKeepRevisions, maxKeepRevisions))
	for i, u := range c.URLs {
		if err := proto.ValidateCacheURL(u); err != nil {
			problems = append(problems, fmt.Errorf("cache.urls[%d]: %w", i, err))
		}
	}
	for i, u := range c.From {
		if err := proto.ValidateCacheURL(u); err != nil {
			problems = append(problems, fmt.Errorf("cache.from[%d]: %w", i, err))
		}
	}
	for i, p := range c.Push {
		if p.Timeout != 0 {
			problems = append(problems, between(fmt.Sprintf("cache.push[%d].timeout", i), p.Timeout, minTimeout, maxTimeout))
		}
		for _, err := range p.target().Problems() {
			problems = append(problems, fmt.Errorf("cache.push[%d].%w", i, err))
		}
	}
	if !c.Embedded {
		problems = append(problems, c.outsideProblems()...)
	}
	for i, u := range c.Upstream {
		if err := proto.ValidateCacheURL(u); err != nil {
			problems = append(problems, fmt.Errorf("cache.upstream[%d]: %w", i, err))
		}
	}
	return problems
}

// outsideProblems are those of a configuration without the embedded cache.
func (c CacheConfig) outsideProblems() []error {
	var problems []error
	if len(c.Push) == 0 {
		problems = append(problems, errors.New("cache.push: must name at least one cache without the embedded one (cache.embedded)"))
	}
	if c.Public {
		problems = append(problems, errors.New("cache.public: must be false without the embedded cache (cache.embedded): who reads others is theirs to say"))
	}
	if len(c.Upstream) > 0 {
		problems = append(problems, errors.New("cache.upstream: must be empty without the embedded cache (cache.embedded): others are given whole closures"))
	}
	return problems
}

// nixosCache is the cache whose key everybody knows.
const nixosCache, nixosCacheKey = "cache.nixos.org", "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="

// upstreamProblems are those of caches whose keys are not trusted: what they have would
// be stored again, and nobody would know why.
func (c Config) upstreamProblems() []error {
	if len(c.Cache.Upstream) > 0 && len(c.Keys.Cache) == 0 {
		return []error{fmt.Errorf("cache.upstream: keys.cache must name the key of each, such as %q, and hosts' trust.cache_keys, too", nixosCacheKey)}
	}
	for i, text := range c.Cache.Upstream {
		u, err := url.Parse(text)
		if err != nil || u.Hostname() != nixosCache {
			continue
		}
		if !slices.ContainsFunc(c.Keys.Cache, func(k proto.PublicKey) bool { return k.String() == nixosCacheKey }) {
			return []error{fmt.Errorf("cache.upstream[%d]: keys.cache must name the key of %s, %q, and hosts' trust.cache_keys, too", i, nixosCache, nixosCacheKey)}
		}
	}
	return nil
}
