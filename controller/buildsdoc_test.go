package controller

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBuildsAreDocumented compares the options in docs/builds.md, and their defaults,
// with those that there are.
func TestBuildsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/builds.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(build\\.\\w+)` \\| (none|`[^`]*`) \\| ").FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1]+" "+m[2])
	}
	var want []string
	defaults := reflect.ValueOf(defaultBuild())
	for i, field := range reflect.VisibleFields(defaults.Type()) {
		value := "none"
		if v := defaults.Field(i); v.Kind() != reflect.Slice && v.Kind() != reflect.String {
			value = fmt.Sprintf("`%v`", v.Interface())
		}
		want = append(want, "build."+field.Tag.Get("config")+" "+value)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options (-code +docs/builds.md):\n%s", diff)
	}
}
