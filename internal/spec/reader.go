package spec

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"kedge/internal/window"
)

// A reader reads JSON that may be wrong in many places, and keeps what is.
type reader struct{ problems []Problem }

func (r *reader) problem(path, format string, args ...any) {
	r.problems = append(r.problems, Problem{path, fmt.Sprintf(format, args...)})
}

// An attribute reads the value of one attribute.
type attribute func(path string, raw json.RawMessage)

// set reads an attribute set that has no others than the known ones.
func (r *reader) set(path string, raw json.RawMessage, known map[string]attribute) {
	r.each(path, raw, func(name, path string, raw json.RawMessage) {
		if read, ok := known[name]; ok {
			read(path, raw)
			return
		}
		r.problem(path, "there is no such attribute%s", didYouMean(name, maps.Keys(known)))
	})
}

// plainName is an attribute's name that Nix takes without quotes.
var plainName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_'-]*$`)

// each reads an attribute set, in the order of the names.
func (r *reader) each(path string, raw json.RawMessage, read func(name, path string, raw json.RawMessage)) {
	var set map[string]json.RawMessage
	if !r.as(path, raw, kindObject, &set) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		read(name, path+"."+quoted(name), set[name])
	}
}

// quoted returns an attribute's name as Nix takes it.
func quoted(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return strconv.Quote(name)
}

func (r *reader) list(path string, raw json.RawMessage, read attribute) {
	var list []json.RawMessage
	if !r.as(path, raw, kindList, &list) {
		return
	}
	for i, element := range list {
		read(fmt.Sprintf("%s[%d]", path, i), element)
	}
}

// as decodes a value of that kind into v.
func (r *reader) as(path string, raw json.RawMessage, want kind, v any) bool {
	if kindOf(raw) != want {
		r.problem(path, "must be %s, got %s", want, describe(raw))
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil {
		r.problem(path, "%s", err)
		return false
	}
	return true
}

func (r *reader) bool(to *bool) attribute {
	return func(path string, raw json.RawMessage) { r.as(path, raw, kindBool, to) }
}

// maxReason bounds what is shown in one line.
const maxReason = 200

// reason reads a person's words, which will be one line on a terminal.
func (r *reader) reason(to *string) attribute {
	return func(path string, raw json.RawMessage) {
		if !r.as(path, raw, kindText, to) {
			return
		}
		if len(*to) > maxReason || strings.ContainsFunc(*to, unicode.IsControl) {
			r.problem(path, "must be one line of at most %d characters", maxReason)
		}
	}
}

// label reads a name.
func (r *reader) label(to *string) attribute {
	return func(path string, raw json.RawMessage) {
		if r.as(path, raw, kindText, to) {
			r.checkLabel(path, *to)
		}
	}
}

func (r *reader) checkLabel(path, text string) bool {
	if !label.MatchString(text) {
		r.problem(path, "must be 1 to 63 characters of a-z, 0-9 and hyphens, with none at either end, got %q", text)
		return false
	}
	return true
}

// duration reads a time with its unit that is not negative.
func (r *reader) duration(to *time.Duration) attribute {
	return func(path string, raw json.RawMessage) {
		var text string
		if kindOf(raw) == kindText && json.Unmarshal(raw, &text) == nil {
			if d, err := time.ParseDuration(text); err == nil && d >= 0 && (d > 0 || text != "0") {
				*to = d
				return
			}
		}
		r.problem(path, `must be a text with units such as "10m" or "1h30m", and not negative, got %s`, describe(raw))
	}
}

func (r *reader) amount(to *Amount) attribute {
	return func(path string, raw json.RawMessage) {
		a, err := parseAmount(raw)
		if err != nil {
			r.problem(path, "%s", err)
			return
		}
		*to = a
	}
}

// someHosts reads an amount that is not 0.
func (r *reader) someHosts(to *Amount) attribute {
	return func(path string, raw json.RawMessage) {
		before := len(r.problems)
		if r.amount(to)(path, raw); len(r.problems) == before && to.n == 0 {
			r.problem(path, "must be at least 1, got %s", to)
		}
	}
}

func (r *reader) selector(to *Selector) attribute {
	return func(path string, raw json.RawMessage) {
		var text string
		if !r.as(path, raw, kindText, &text) {
			return
		}
		sel, err := ParseSelector(text)
		if err != nil {
			r.problem(path, "%s", err)
			return
		}
		*to = sel
	}
}

func (r *reader) windows(to *window.Windows) attribute {
	return func(path string, raw json.RawMessage) {
		*to = window.Windows{}
		r.list(path, raw, func(path string, raw json.RawMessage) {
			var text string
			if !r.as(path, raw, kindText, &text) {
				return
			}
			w, err := window.Parse(text)
			if err != nil {
				r.problem(path, "%s", err)
				return
			}
			*to = append(*to, w)
		})
	}
}

// choice reads one of two texts.
func choice[T ~string](r *reader, to *T, one, other T) attribute {
	return func(path string, raw json.RawMessage) {
		var text string
		if !r.as(path, raw, kindText, &text) {
			return
		}
		if T(text) != one && T(text) != other {
			r.problem(path, "must be %q or %q, got %q", one, other, text)
			return
		}
		*to = T(text)
	}
}
