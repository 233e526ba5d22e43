package stc

import (
	"os"
	"path/filepath"
	"strings"
)

// A location is where the files of a unit are, in the old and in the new system. For an instance of
// a template that has no file of its own the base is the template's file.
type location struct {
	name    string
	file    string // in the new system
	base    string // in the new system
	oldFile string
	oldBase string
}

// locate finds the files of the unit name in the unit folders of the old and the new system.
func locate(name, oldDir, newDir string) location {
	l := location{name: name, file: filepath.Join(newDir, name), oldFile: filepath.Join(oldDir, name)}
	l.base, l.oldBase = l.file, l.oldFile
	if template, ok := templateOf(name); ok && !exists(l.file) && !exists(l.oldFile) {
		l.base, l.oldBase = filepath.Join(newDir, template), filepath.Join(oldDir, template)
	}
	return l
}

// isInstance tells whether the unit is an instance of a template, without a file of its own.
func (l location) isInstance() bool { return l.base != l.file }

// stem is the name of the unit's file without its type: "web" for web.service, "web@" for an
// instance of web@.service.
func (l location) stem() string {
	name := filepath.Base(l.base)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// orphaned tells whether an instance that existed by its drop-ins has lost them.
func (l location) orphaned() bool {
	return l.isInstance() && hasDropIn(l.oldFile+".d") && !hasDropIn(l.file+".d")
}

// templateOf turns "a@b.service" into "a@.service". As in the real program an instance name with a
// dot in it is not recognised.
func templateOf(name string) (string, bool) {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return "", false
	}
	_, kind, ok := strings.Cut(name[at:], ".")
	if !ok || strings.Contains(kind, ".") {
		return "", false
	}
	return name[:at] + "@." + kind, true
}

func hasDropIn(dir string) bool {
	for _, file := range dropIns(dir) {
		if !gone(file) {
			return true
		}
	}
	return false
}

// exists follows links: a dangling one does not exist.
func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// gone tells whether a unit file is missing, dangling, or masked by a link to /dev/null.
func gone(file string) bool {
	unit, err := os.Stat(file)
	if err != nil {
		return true
	}
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(unit, null)
}
