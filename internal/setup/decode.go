package setup

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A decoder puts values into a configuration and collects what is wrong with
// them.
type decoder struct {
	lenient  bool              // pass over unknown keys
	retired  map[string]string // see [Retirer]
	origin   string            // the variable or flag that is being decoded; empty for the file
	problems []error
	blamed   map[string]bool // keys in problems
}

func (d *decoder) problem(key, format string, args ...any) {
	if d.blamed == nil {
		d.blamed = make(map[string]bool)
	}
	d.blamed[key] = true
	if d.origin != "" {
		key += " (from " + d.origin + ")"
	}
	d.problems = append(d.problems, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
}

// section decodes tree, the keys below prefix, into a struct.
func (d *decoder) section(prefix string, dst reflect.Value, tree map[string]any) {
	known := make(map[string]reflect.Value)
	for i := range dst.NumField() {
		if name, ok := dst.Type().Field(i).Tag.Lookup(tagName); ok {
			known[name] = dst.Field(i)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		value, ok := known[name]
		switch {
		case ok:
			d.value(prefix+name, value, tree[name])
		case d.retired[prefix+name] != "":
			d.problem(prefix+name, "%s", d.retired[prefix+name])
		case !d.lenient:
			d.problem(prefix+name, "unknown key; known here: %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
}

// value decodes what a file says for key. A key without a value leaves the
// default.
func (d *decoder) value(key string, dst reflect.Value, src any) {
	if src == nil {
		return
	}
	t := dst.Type()
	switch {
	case t == durationType || isText(t):
		text, ok := src.(string)
		if !ok {
			d.problem(key, "must be %s, got %s", describe(t), show(src))
			return
		}
		d.text(key, dst, text)
	case t.Kind() == reflect.Pointer:
		dst.Set(reflect.New(t.Elem()))
		d.value(key, dst.Elem(), src)
	case t.Kind() == reflect.Struct:
		tree, ok := src.(map[string]any)
		if !ok {
			d.problem(key, "must be a section, got %s", show(src))
			return
		}
		d.section(key+".", dst, tree)
	case t.Kind() == reflect.Slice:
		d.list(key, dst, src)
	case t.Kind() == reflect.Map:
		d.named(key, dst, src)
	default:
		d.scalar(key, dst, src)
	}
}

// named decodes the sections below key, each under a name that its author chose.
func (d *decoder) named(key string, dst reflect.Value, src any) {
	tree, ok := src.(map[string]any)
	if !ok {
		d.problem(key, "must be a section of named sections, got %s", show(src))
		return
	}
	sections := reflect.MakeMap(dst.Type())
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		section := reflect.New(dst.Type().Elem())
		if def, ok := reflect.TypeAssert[Defaulter](section); ok {
			def.SetDefaults()
		}
		d.value(key+"."+name, section.Elem(), tree[name])
		sections.SetMapIndex(reflect.ValueOf(name), section.Elem())
	}
	dst.Set(sections)
}

func (d *decoder) list(key string, dst reflect.Value, src any) {
	elements := reflect.ValueOf(src)
	if elements.Kind() != reflect.Slice {
		d.problem(key, "must be a list, got %s", show(src))
		return
	}
	list := reflect.MakeSlice(dst.Type(), elements.Len(), elements.Len())
	for i := range elements.Len() {
		element, elementKey := elements.Index(i).Interface(), fmt.Sprintf("%s[%d]", key, i)
		if element == nil {
			d.problem(elementKey, "must not be empty")
			continue
		}
		d.value(elementKey, list.Index(i), element)
	}
	dst.Set(list)
}

func (d *decoder) scalar(key string, dst reflect.Value, src any) {
	value := reflect.ValueOf(src)
	ok := false
	switch {
	case dst.Kind() == value.Kind() && (dst.Kind() == reflect.String || dst.Kind() == reflect.Bool):
		dst.Set(value.Convert(dst.Type()))
		ok = true
	case dst.CanFloat() && value.CanFloat():
		dst.SetFloat(value.Float())
		ok = true
	case dst.CanFloat() && value.CanInt():
		dst.SetFloat(float64(value.Int()))
		ok = true
	default:
		if n, whole := wholeNumber(value); whole {
			ok = setInt(dst, n)
		}
	}
	if !ok {
		d.problem(key, "must be %s, got %s", describe(dst.Type()), show(src))
	}
}

// wholeNumber returns v as an integer, if it is one. JSON has only floats.
func wholeNumber(v reflect.Value) (int64, bool) {
	const exact = 1 << 53 // float64 holds every integer up to here
	switch {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint()), true
	case v.CanFloat() && v.Float() == math.Trunc(v.Float()) && math.Abs(v.Float()) <= exact:
		return int64(v.Float()), true
	}
	return 0, false
}

// setInt sets dst to n, if it is an integer that can hold it.
func setInt(dst reflect.Value, n int64) bool {
	switch {
	case dst.CanInt() && !dst.OverflowInt(n):
		dst.SetInt(n)
	case dst.CanUint() && n >= 0 && !dst.OverflowUint(uint64(n)):
		dst.SetUint(uint64(n))
	default:
		return false
	}
	return true
}

// describe says what is expected of a value of type t.
func describe(t reflect.Type) string {
	switch {
	case t == durationType:
		return `a duration with its unit, such as "30s"`
	case t.Kind() == reflect.String, isText(t):
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		return "a number"
	}
	if t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64 {
		return fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-t.Bits()))
	}
	return fmt.Sprintf("a whole number of at most %d bits", t.Bits())
}

// show returns a value of a file for a message.
func show(src any) string {
	switch v := src.(type) {
	case string:
		return strconv.Quote(v)
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	default:
		return fmt.Sprint(v)
	}
}
