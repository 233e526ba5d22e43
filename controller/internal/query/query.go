// Package query reads requests from the queries of URLs.
package query

import (
	"encoding"
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"kedge/proto/bus"
)

// Decode decodes the fields of v, which points to a request, by their names in
// JSON. It is as strict as [bus.DecodeRequest]. Durations are such as 30s.
func Decode(query url.Values, v any) error {
	request := reflect.ValueOf(v).Elem()
	fields := map[string]reflect.Value{}
	for i := range request.NumField() {
		name, _, _ := strings.Cut(request.Type().Field(i).Tag.Get("json"), ",")
		fields[name] = request.Field(i)
	}
	for name, values := range query {
		field, known := fields[name]
		switch {
		case !known:
			return bus.Errorf(bus.CodeBadRequest, "query: unknown field %q", name)
		case len(values) != 1:
			return bus.Errorf(bus.CodeBadRequest, "query: %s: must be given once", name)
		}
		if err := decodeText(values[0], field); err != nil {
			return bus.Errorf(bus.CodeBadRequest, "query: %s: %v", name, err)
		}
	}
	return nil
}

// errKind says that a field cannot be in a query. Only requests of calls that read are,
// and a test makes each of them.
var errKind = errors.New("cannot be given in a query")

// decodeText decodes one value.
func decodeText(text string, to reflect.Value) error {
	switch v := to.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return v.UnmarshalText([]byte(text))
	case *time.Duration:
		d, err := time.ParseDuration(text)
		*v = d
		return err
	}
	switch to.Kind() { //nolint:exhaustive // all others are errKind
	case reflect.String:
		to.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return err
		}
		to.SetBool(b)
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, strconv.IntSize)
		if err != nil {
			return err
		}
		to.SetInt(n)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return err
		}
		to.SetUint(n)
	default:
		return errKind
	}
	return nil
}
