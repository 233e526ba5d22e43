package stc

import "slices"

// A change says what a running unit needs for its new unit file to take effect.
type change int

const (
	changeNone change = iota
	changeReload
	changeRestart
)

// compare tells what a unit that runs from the file old needs when the file becomes fresh. Anything
// new means a restart, except:
//   - what only describes the unit or how it is operated (descriptive): nothing;
//   - X-Reload-Triggers, an added or changed ExecReload, a changed Options of a mount: a reload;
//   - an ExecReload that is gone: nothing, for it cannot be reloaded any more.
func compare(old, fresh unit) change {
	need := changeNone
	for _, section := range sections(old, fresh) {
		before, was := old[section]
		after, is := fresh[section]
		if was != is && !optional(section, before, after) {
			return changeRestart
		}
		for _, key := range keys(before, after) {
			need = max(need, compareKey(section, key, before, after))
		}
	}
	return need
}

// optional tells whether a whole section may come or go without a restart for its own sake: [Unit],
// judged key by key, and a [Service] of nothing but ExecReload.
func optional(section string, before, after map[string][]string) bool {
	switch section {
	case "Unit":
		return true
	case "Service":
		_, ok := after["ExecReload"]
		if after == nil {
			_, ok = before["ExecReload"]
		}
		return ok && len(before)+len(after) == 1
	default:
		return false
	}
}

func compareKey(section, key string, before, after map[string][]string) change {
	from, was := before[key]
	to, is := after[key]
	switch {
	case was && is && slices.Equal(from, to):
		return changeNone
	case section == "Unit" && key == "X-Reload-Triggers":
		if !is {
			return changeNone
		}
		return changeReload
	case section == "Unit" && descriptive(key):
		return changeNone
	case section == "Service" && key == "ExecReload":
		if !is {
			return changeNone
		}
		if !was && alone(before, after) || was {
			return changeReload
		}
		return changeRestart
	case section == "Mount" && key == "Options" && was && is:
		return changeReload
	default:
		return changeRestart
	}
}

// alone tells whether exactly one key of after is not in before.
func alone(before, after map[string][]string) bool {
	added := 0
	for key := range after {
		if _, ok := before[key]; !ok {
			added++
		}
	}
	return added == 1
}

// descriptive keys of [Unit] do not touch the running unit.
func descriptive(key string) bool {
	switch key {
	case "Description", "Documentation", "OnFailure", "OnSuccess", "OnFailureJobMode", "IgnoreOnIsolate",
		"StopWhenUnneeded", "RefuseManualStart", "RefuseManualStop", "AllowIsolate", "CollectMode", "SourcePath":
		return true
	default:
		return false
	}
}

func sections(a, b unit) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

func keys(a, b map[string][]string) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}
