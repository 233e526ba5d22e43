package spec

import "fmt"

// check reports what is wrong with s as a whole.
func (r *reader) check(s Spec) {
	names := map[string]int{}
	for i, w := range s.Rollout.Waves {
		path := fmt.Sprintf("%s.rollout.waves[%d].name", root, i)
		if other, taken := names[w.Name]; taken && w.Name != "" {
			r.problem(path, "waves[%d] is called %q, too", other, w.Name)
			continue
		}
		names[w.Name] = i
	}
}
