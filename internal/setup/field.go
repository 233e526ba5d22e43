package setup

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

const tagName = "config"

var (
	keyPattern      = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType    = reflect.TypeFor[time.Duration]()
)

// A field is one key of a configuration that has a value: no section.
type field struct {
	key   string // such as "nats.servers"
	value reflect.Value
}

func (f field) envName(prefix string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

func (f field) flagName() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(f.key)
}

// fieldsOf returns the fields of the struct root and of its sections. An error
// means that the type is not made for configuration, which only a programmer
// can mend.
func fieldsOf(root reflect.Value) ([]field, error) {
	if root.Kind() != reflect.Struct {
		return nil, fmt.Errorf("configuration type %s: must be a struct", root.Type())
	}
	var fields []field
	err := eachField("", root, func(key string, value reflect.Value) error {
		fields = append(fields, field{key, value})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("configuration type %s: %w", root.Type(), err)
	}
	return fields, nil
}

func eachField(prefix string, section reflect.Value, visit func(key string, value reflect.Value) error) error {
	for i := range section.NumField() {
		name, ok := section.Type().Field(i).Tag.Lookup(tagName)
		if !ok {
			continue
		}
		key, value := prefix+name, section.Field(i)
		if !keyPattern.MatchString(name) || !value.CanSet() {
			return fmt.Errorf("%s: must be an exported field with a key like some_name", key)
		}
		var err error
		switch {
		case isSection(value.Type()):
			err = eachField(key+".", value, visit)
		case !supported(value.Type()):
			err = fmt.Errorf("%s: type %s cannot be configured", key, value.Type())
		default:
			err = visit(key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isSection reports whether a value of type t is a group of keys.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !isText(t)
}

// isText reports whether values of type t are parsed from text by themselves.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(textUnmarshaler)
}

func supported(t reflect.Type) bool {
	if isText(t) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Pointer:
		return !isSection(t.Elem()) && supported(t.Elem())
	case reflect.Slice:
		if isSection(t.Elem()) {
			return eachField("", reflect.New(t.Elem()).Elem(), func(string, reflect.Value) error { return nil }) == nil
		}
		return supported(t.Elem())
	case reflect.Map:
		return t.Key().Kind() == reflect.String && isSection(t.Elem()) && supported(reflect.SliceOf(t.Elem()))
	case reflect.Struct, reflect.Array, reflect.Interface, reflect.Func, reflect.Chan,
		reflect.Complex64, reflect.Complex128, reflect.Uintptr, reflect.UnsafePointer, reflect.Invalid:
		return false
	}
	return false
}
