package spec

import (
	"maps"
	"slices"

	"kedge/proto"
)

// CachesOf returns the binary caches that h asks before the fleet's own: its own,
// then those of its sites in the order of their names; each once.
func (s Spec) CachesOf(h proto.HostName) []string {
	caches := slices.Clone(s.Hosts[h].Caches)
	for _, name := range slices.Sorted(maps.Keys(s.Sites)) {
		if site := s.Sites[name]; s.Match(site.Hosts, h) {
			caches = append(caches, site.Caches...)
		}
	}
	seen := make(map[string]bool, len(caches))
	return slices.DeleteFunc(caches, func(url string) bool {
		again := seen[url]
		seen[url] = true
		return again
	})
}
