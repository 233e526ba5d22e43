package setup

import (
	"errors"
	"fmt"
	"strings"
)

// A ConfigError lists everything that is wrong with a configuration.
type ConfigError struct {
	File     string // empty if there was none
	Problems []error
}

// Error returns all problems in one line.
func (e *ConfigError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.Error()
	}
	name := "config"
	if e.File != "" {
		name += " " + e.File
	}
	return fmt.Sprintf("%s: %s", name, strings.Join(texts, "; "))
}

// Unwrap returns the problems.
func (e *ConfigError) Unwrap() []error { return e.Problems }

// finish returns the decoder's problems and those of validation as one
// ConfigError, or nil if there are none. A key that could not be decoded is not
// blamed a second time for the value that it therefore has.
func (d *decoder) finish(file string, invalid error) error {
	problems := d.problems
	for _, err := range leaves(invalid) {
		if key, _, _ := strings.Cut(err.Error(), ":"); !d.blamed[key] {
			problems = append(problems, err)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &ConfigError{File: file, Problems: problems}
}

// leaves returns the errors that errors.Join joined into err.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, leaves(e)...)
	}
	return all
}
