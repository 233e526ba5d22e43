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
	URLs []string `config:"urls"` // of this controller's; tried in order; they travel in every assignment
	// From are the URLs of caches that others fill, such as CI. What is published
	// and is not in the local store is fetched from there.
	From []string `config:"from"`
	// Upstream are the URLs of caches that hosts reach, too, such as
	// https://cache.nixos.org. What they have is not stored again: hosts are told
	// where it is. Their keys are in keys.cache.
	Upstream []string `config:"upstream"`
	// Push are the URLs of further caches that closures are copied to before they are
	// published, such as s3://bucket?region=…; they are in hosts' own caches.
	Push []string `config:"push"`
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

// Bounds of the retention: what was pushed must outlive its rollout.
const minRetention, maxRetention = time.Hour, 5 * 365 * 24 * time.Hour

func defaultCache() CacheConfig {
	return CacheConfig{Retention: 7 * 24 * time.Hour, KeepRevisions: 3, MinFree: 1 << 30}
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
	for i, u := range c.Push {
		if err := cache.ValidateTarget(u); err != nil {
			problems = append(problems, fmt.Errorf("cache.push[%d]: %w", i, err))
		}
	}
	for i, u := range c.Upstream {
		if err := proto.ValidateCacheURL(u); err != nil {
			problems = append(problems, fmt.Errorf("cache.upstream[%d]: %w", i, err))
		}
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
