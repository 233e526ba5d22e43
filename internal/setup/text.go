package setup

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// text decodes what the environment or a flag says for key, and whatever a file
// writes as text for a type that is no text.
func (d *decoder) text(key string, dst reflect.Value, text string) {
	t := dst.Type()
	var err error
	switch {
	case isText(t):
		u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](dst.Addr())
		if ok { // always: isText says so
			err = u.UnmarshalText([]byte(text))
		}
		if err != nil {
			d.problem(key, "%v", err)
		}
		return
	case t == durationType:
		var v time.Duration
		v, err = time.ParseDuration(text)
		dst.SetInt(int64(v))
	case t.Kind() == reflect.Pointer:
		dst.Set(reflect.New(t.Elem()))
		d.text(key, dst.Elem(), text)
	case t.Kind() == reflect.Slice:
		d.texts(key, dst, split(text))
	case t.Kind() == reflect.String:
		dst.SetString(text)
	case t.Kind() == reflect.Bool:
		var v bool
		v, err = strconv.ParseBool(text)
		dst.SetBool(v)
	case dst.CanFloat():
		var v float64
		v, err = strconv.ParseFloat(text, t.Bits())
		dst.SetFloat(v)
	default:
		n, perr := strconv.ParseInt(text, 10, 64)
		if perr != nil || !setInt(dst, n) {
			d.problem(key, "must be %s, got %q", describe(t), text)
		}
	}
	if err != nil {
		d.problem(key, "must be %s, got %q", describe(t), text)
	}
}

func (d *decoder) texts(key string, dst reflect.Value, texts []string) {
	list := reflect.MakeSlice(dst.Type(), len(texts), len(texts))
	for i, text := range texts {
		d.text(fmt.Sprintf("%s[%d]", key, i), list.Index(i), text)
	}
	dst.Set(list)
}

// split returns the elements of a list that is written as "a, b"; none for "".
func split(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}
