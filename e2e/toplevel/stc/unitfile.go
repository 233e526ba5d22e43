package stc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A unit is the text of a unit file with its drop-ins: section, key, values in order. The [Install]
// section is left out; nothing there matters to a running unit.
type unit map[string]map[string][]string

// readUnit reads the unit file base and its drop-ins; and for an instance of a template (file is
// not base) those of the instance after them.
func readUnit(file, base string) (unit, error) {
	u := unit{}
	if err := u.merge(base); err != nil {
		return nil, err
	}
	dirs := []string{base + ".d"}
	if file != base {
		dirs = append(dirs, file+".d")
	}
	for _, dir := range dirs {
		for _, conf := range dropIns(dir) {
			if err := u.merge(conf); err != nil {
				return nil, err
			}
		}
	}
	return u, nil
}

// dropIns lists the .conf files of dir in their order; none if there is no such folder.
func dropIns(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// merge adds the file to u: values of a key add up, an empty value forgets the earlier ones.
func (u unit) merge(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("open unit file: %w", err)
	}
	section := ""
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			name, ok := strings.CutSuffix(line[1:], "]")
			if !ok {
				return fmt.Errorf("parse systemd unit file %s: line %d: section without an end", file, n+1)
			}
			section = name
			if section != "Install" && u[section] == nil {
				u[section] = map[string][]string{}
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("parse systemd unit file %s: line %d: expected key=value", file, n+1)
		}
		u.set(section, strings.TrimSpace(key), strings.TrimSpace(value))
	}
	return nil
}

func (u unit) set(section, key, value string) {
	keys := u[section]
	switch {
	case keys == nil: // outside of every section, or in [Install]
	case value == "":
		keys[key] = nil
	default:
		keys[key] = append(keys[key], value)
	}
}

// flag is the last value of a boolean key, or def if it has none.
func (u unit) flag(section, key string, def bool) bool {
	values := u[section][key]
	if len(values) == 0 {
		return def
	}
	return slices.Contains([]string{"1", "yes", "true", "on"}, values[len(values)-1])
}

// words are the space-separated words of all values of a key.
func (u unit) words(section, key string) []string {
	return strings.Fields(strings.Join(u[section][key], " "))
}
