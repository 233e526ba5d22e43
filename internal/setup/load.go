package setup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// A Validator is a configuration that knows its own rules. Validate returns
// nil or the errors.Join of every problem, each as "key: must …, got …".
type Validator interface{ Validate() error }

// A Defaulter is a section of those that their author names, such as "sources.main":
// SetDefaults sets what holds in one where nothing else is said.
type Defaulter interface{ SetDefaults() }

// A Retirer is a configuration that had other keys once: Retired returns what is to
// be said of each, "must be …", to whoever still writes it.
type Retirer interface{ Retired() map[string]string }

// A Source says where a configuration comes from.
type Source[T Validator] struct {
	// File ends in .yaml, .yml, .toml or .json; empty means no file.
	File string
	// EnvPrefix makes the variable PREFIX_A_B set the key a.b; other variables
	// that begin with it are problems. Empty means no environment.
	EnvPrefix string
	// EnvIgnore names variables that begin with the prefix and are no keys.
	EnvIgnore []string
	// Flags that were set count: --a-b sets the key a.b. Flags that name no key
	// are left alone. Nil means no flags.
	Flags *pflag.FlagSet
	// Default is what holds where nothing is set. It is not changed; a list that
	// is set replaces the default one.
	Default T
}

// Load returns the configuration that s describes, validated. A file that does
// not exist is an error that wraps fs.ErrNotExist; everything that is wrong
// with the content is one [*ConfigError].
func Load[T Validator](s Source[T]) (T, error) {
	var zero T
	c := s.Default
	d := decoder{}
	if r, ok := any(c).(Retirer); ok {
		d.retired = r.Retired()
	}
	root := reflect.ValueOf(&c).Elem()
	fields, err := fieldsOf(root)
	if err != nil {
		return zero, err
	}
	if s.File != "" {
		tree, err := readFile(s.File)
		if err != nil {
			return zero, err
		}
		d.section("", root, tree)
	}
	o := overrides{prefix: s.EnvPrefix, ignore: s.EnvIgnore, flags: s.Flags}
	if err := o.apply(&d, fields); err != nil {
		return zero, err
	}
	if err := d.finish(s.File, c.Validate()); err != nil {
		return zero, err
	}
	return c, nil
}

// DecodeKnown returns the configuration in file alone, as [Load] does, but
// passes over keys that T does not have. It is for reading what was written for
// another version of a program; a program's own configuration is for Load.
func DecodeKnown[T Validator](file string, def T) (T, error) {
	var zero T
	c := def
	d := decoder{lenient: true}
	root := reflect.ValueOf(&c).Elem()
	if _, err := fieldsOf(root); err != nil {
		return zero, err
	}
	tree, err := readFile(file)
	if err != nil {
		return zero, err
	}
	d.section("", root, tree)
	if err := d.finish(file, c.Validate()); err != nil {
		return zero, err
	}
	return c, nil
}

// readFile returns the content of a configuration file as nested maps, lists
// and scalars.
func readFile(file string) (map[string]any, error) {
	format := strings.TrimPrefix(filepath.Ext(file), ".")
	switch format {
	case "yaml", "yml", "toml", "json":
	default:
		return nil, fmt.Errorf("read config %s: its name must end in .yaml, .yml, .toml or .json", file)
	}
	codec, err := viper.NewCodecRegistry().Decoder(format)
	if err != nil {
		return nil, fmt.Errorf("read config %s: %w", file, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	tree := make(map[string]any)
	if err := codec.Decode(text, tree); err != nil {
		// Some decoders' messages have several lines.
		message := strings.Join(strings.Fields(err.Error()), " ")
		return nil, &ConfigError{File: file, Problems: []error{errors.New(message)}}
	}
	return tree, nil
}
