package spec

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// document is where the output is told to people.
const document = "../../docs/rollouts.md"

// TestDocument holds the document to the attributes that there are, and the reader
// to taking them.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		got = append(got, row[1])
	}
	var want []string
	attributes(reflect.TypeFor[Spec](), "", &want)
	want = slices.DeleteFunc(want, func(path string) bool { return path == "hosts" || path == "sites" }) // there are only hosts.NAME
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes in %s (-those there are +those it has):\n%s", document, diff)
	}
	for _, path := range got {
		_, err := Parse([]byte(nested(strings.Split(path, "."))), hostNames(t))
		if err == nil || strings.Contains(err.Error(), "no such") {
			t.Errorf("%s with a value of no type: got error %v, want one about the value", path, err)
		}
	}
}

// attributes adds the paths of what people can write of a type.
func attributes(of reflect.Type, prefix string, paths *[]string) {
	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path, inner := prefix+camel(name), f.Type
		*paths = append(*paths, path)
		switch inner.Kind() { //nolint:exhaustive // the others have nothing below them
		case reflect.Map:
			path, inner = path+".NAME", inner.Elem()
			*paths = append(*paths, path)
		case reflect.Slice:
			path, inner = path+".N", inner.Elem()
		case reflect.Pointer:
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.NumField() > 0 && inner.Field(0).Tag.Get("json") != "" {
			attributes(inner, path+".", paths)
		}
	}
}

// camel returns a name as Nix has it, of one as it is in state files.
func camel(name string) string {
	return regexp.MustCompile("_.").ReplaceAllStringFunc(name, func(s string) string { return strings.ToUpper(s[1:]) })
}

// nested returns JSON with null at the path.
func nested(path []string) string {
	if len(path) == 0 {
		return "null"
	}
	switch path[0] {
	case "N":
		return "[" + nested(path[1:]) + "]"
	case "NAME":
		return `{"web1":` + nested(path[1:]) + "}"
	}
	return fmt.Sprintf("{%q:%s}", path[0], nested(path[1:]))
}
