package stc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes files below a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadUnit(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		file  string // default x.service
		want  unit
	}{
		{
			name:  "collects the values of a key in their order",
			files: map[string]string{"x.service": "[Service]\nExecStartPre=a\nExecStartPre = b \nType=simple\n"},
			want:  unit{"Service": {"ExecStartPre": {"a", "b"}, "Type": {"simple"}}},
		},
		{
			name:  "forgets earlier values at an empty one",
			files: map[string]string{"x.service": "[Service]\nExecStart=a\nExecStart=\nExecStart=b\n"},
			want:  unit{"Service": {"ExecStart": {"b"}}},
		},
		{
			name:  "leaves comments and the install section out",
			files: map[string]string{"x.service": "# c\n; c\n[Unit]\nDescription=d\n[Install]\nWantedBy=multi-user.target\n"},
			want:  unit{"Unit": {"Description": {"d"}}},
		},
		{
			name: "adds drop-ins in the order of their names",
			files: map[string]string{
				"x.service":             "[Service]\nEnvironment=A=1\n",
				"x.service.d/20.conf":   "[Service]\nEnvironment=\nEnvironment=C=3\n",
				"x.service.d/10.conf":   "[Service]\nEnvironment=B=2\n",
				"x.service.d/README.md": "no drop-in\n",
			},
			want: unit{"Service": {"Environment": {"C=3"}}},
		},
		{
			name: "adds an instance's drop-ins after the template's",
			files: map[string]string{
				"x@.service":             "[Service]\nNice=1\n",
				"x@.service.d/a.conf":    "[Service]\nNice=2\n",
				"x@one.service.d/a.conf": "[Service]\nNice=3\n",
			},
			file: "x@one.service",
			want: unit{"Service": {"Nice": {"1", "2", "3"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, tt.files)
			name := tt.file
			if name == "" {
				name = "x.service"
			}
			at := locate(name, dir, dir)
			got, err := readUnit(at.file, at.base)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("readUnit(%s) (-want +got):\n%s", name, diff)
			}
		})
	}
}

func TestReadUnitRefusesWhatIsNoUnitFile(t *testing.T) {
	for name, text := range map[string]string{"open section": "[Unit\n", "no key": "[Unit]\nDescription\n"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(write(t, map[string]string{"x.service": text}), "x.service")
			if got, err := readUnit(file, file); err == nil {
				t.Errorf("readUnit of %q = %v, want an error", text, got)
			}
		})
	}
}

func TestFlag(t *testing.T) {
	u := unit{"Unit": {"A": {"true"}, "B": {"yes", "no"}, "C": {"on"}, "D": {"maybe"}, "E": nil}}
	for key, want := range map[string]bool{"A": true, "B": false, "C": true, "D": false, "E": true, "F": true} {
		if got := u.flag("Unit", key, true); got != want {
			t.Errorf("flag %s = %v, want %v", key, got, want)
		}
	}
}

func TestLocateFindsTheTemplateOfAnInstance(t *testing.T) {
	dir := write(t, map[string]string{"a@.service": "", "b@one.service": "", "b@.service": ""})
	for name, want := range map[string]string{
		"a@one.service": "a@.service", "b@one.service": "b@one.service", "c.service": "c.service",
		"a@1.2.service": "a@1.2.service", // as the real one: a dot in the instance hides it
	} {
		if got := filepath.Base(locate(name, dir, dir).base); got != want {
			t.Errorf("base of %s = %s, want %s", name, got, want)
		}
	}
}
