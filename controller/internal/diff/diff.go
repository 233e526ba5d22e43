// Package diff tells what becomes of a system's packages, as `nix store
// diff-closures` does. It is pure, but for [Boot].
package diff

import (
	"cmp"
	"maps"
	"path/filepath"
	"regexp"
	"slices"

	"kedge/internal/bootparts"
	"kedge/proto"
)

// minSize is by how many bytes a package must grow or shrink to be told, if its
// versions stay.
const minSize = 8 << 10

// Between returns what changes from the closure of one toplevel to that of another.
func Between(from, to proto.StorePath, before, after proto.Closure) proto.Changes {
	c := proto.Changes{From: from, To: to, Size: size(after) - size(before)}
	old, fresh := group(before), group(after)
	names := map[string]bool{}
	for _, packages := range []map[string]pack{old, fresh} {
		for name := range packages {
			names[name] = true
		}
	}
	var changed []proto.PackageChange
	for name := range names {
		if p, is := change(name, old[name], fresh[name]); is {
			count(&c, p.Kind)
			changed = append(changed, p)
		}
	}
	kinds := proto.ChangeKinds()
	slices.SortFunc(changed, func(a, b proto.PackageChange) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.Name, b.Name))
	})
	c.Packages = changed[:min(len(changed), proto.MaxChangedPackages)]
	return c
}

// Boot returns what of to takes effect with a reboot only where from runs. Both are
// in the store.
func Boot(store string, from, to proto.StorePath) ([]string, error) {
	return bootparts.Changed(filepath.Join(store, from.Base()), filepath.Join(store, to.Base()))
}

// pack is all store paths of a name.
type pack struct {
	versions map[string]bool
	size     int64
}

func group(c proto.Closure) map[string]pack {
	packages := map[string]pack{}
	for _, p := range c {
		name, version := split(p.Path)
		one, known := packages[name]
		if !known {
			one.versions = map[string]bool{}
		}
		one.versions[version] = true
		one.size += int64(p.NarSize) //nolint:gosec // of something on a disk
		packages[name] = one
	}
	return packages
}

func size(c proto.Closure) int64 {
	return int64(c.Size()) //nolint:gosec // of something on a disk
}

// change returns what becomes of a package, if anything does.
func change(name string, old, fresh pack) (proto.PackageChange, bool) {
	p := proto.PackageChange{
		Name: name, From: only(old.versions, fresh.versions), To: only(fresh.versions, old.versions), Size: fresh.size - old.size,
	}
	switch order := compareVersions(highest(fresh.versions), highest(old.versions)); {
	case len(old.versions) == 0:
		p.Kind = proto.ChangeAdded
	case len(fresh.versions) == 0:
		p.Kind = proto.ChangeRemoved
	case len(p.From) == 0 && len(p.To) == 0 && max(p.Size, -p.Size) < minSize:
		return p, false
	case order > 0:
		p.Kind = proto.ChangeUpgraded
	case order < 0:
		p.Kind = proto.ChangeDowngraded
	default:
		p.Kind = proto.ChangeOther
	}
	return p, true
}

// only returns the versions of a that are not among b, sorted.
func only(a, b map[string]bool) []string {
	var found []string
	for _, v := range slices.SortedFunc(maps.Keys(a), compareVersions) {
		if !b[v] {
			found = append(found, v)
		}
	}
	return found
}

// highest returns the highest version; empty if there is none.
func highest(versions map[string]bool) string {
	if len(versions) == 0 {
		return ""
	}
	return slices.MaxFunc(slices.Collect(maps.Keys(versions)), compareVersions)
}

func count(c *proto.Changes, k proto.ChangeKind) {
	switch k {
	case proto.ChangeUpgraded:
		c.Upgraded++
	case proto.ChangeDowngraded:
		c.Downgraded++
	case proto.ChangeAdded:
		c.Added++
	case proto.ChangeRemoved:
		c.Removed++
	case proto.ChangeOther:
		c.Changed++
	}
}

// output matches a name that ends with that of an output. Like Nix, it takes a
// version such as "unstable" for one, too.
var output = regexp.MustCompile(`^(.*)-([a-z]+|lib32|lib64)$`)

// split returns the name and the version of the package that a store path belongs
// to. The version begins at the first dash that no letter follows.
func split(p proto.StorePath) (name, version string) {
	name = p.Base()[len(p.Hash())+1:]
	if m := output.FindStringSubmatch(name); m != nil {
		name = m[1]
	}
	for i := range len(name) - 1 {
		if name[i] == '-' && !isLetter(name[i+1]) {
			return name[:i], name[i+1:]
		}
	}
	return name, ""
}

func isLetter(b byte) bool { return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' }
