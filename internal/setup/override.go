package setup

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Overrides are the environment and the command line, which win over the file.
type overrides struct {
	prefix string // of variables; empty means none
	ignore []string
	flags  *pflag.FlagSet // nil means none
}

// apply decodes what is set for fields, and reports variables that set nothing.
func (o overrides) apply(d *decoder, fields []field) error {
	v := viper.New()
	v.AllowEmptyEnv(true) // NAME= sets the empty text
	names := slices.Clone(o.ignore)
	for _, f := range fields {
		if o.prefix != "" && settable(f) {
			names = append(names, f.envName(o.prefix))
			if err := v.BindEnv(f.key, f.envName(o.prefix)); err != nil {
				return fmt.Errorf("bind %s: %w", f.envName(o.prefix), err)
			}
		}
		if flag := o.flag(f); flag != nil {
			if err := v.BindPFlag(f.key, flag); err != nil {
				return fmt.Errorf("bind --%s: %w", flag.Name, err)
			}
		}
	}
	for _, f := range fields {
		d.origin = o.origin(f)
		switch value := v.Get(f.key).(type) {
		case nil:
		case string:
			d.text(f.key, f.value, value)
		case []string:
			d.texts(f.key, f.value, value)
		default:
			d.value(f.key, f.value, value)
		}
	}
	d.origin = ""
	o.reportUnknown(d, names)
	return nil
}

// origin names what sets f, if anything does.
func (o overrides) origin(f field) string {
	if flag := o.flag(f); flag != nil {
		return "--" + flag.Name
	}
	return f.envName(o.prefix)
}

// flag returns the flag that sets f, if it was given.
func (o overrides) flag(f field) *pflag.Flag {
	if o.flags == nil {
		return nil
	}
	if flag := o.flags.Lookup(f.flagName()); flag != nil && flag.Changed {
		return flag
	}
	return nil
}

func (o overrides) reportUnknown(d *decoder, names []string) {
	if o.prefix == "" {
		return
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, o.prefix+"_") && !slices.Contains(names, name) {
			d.problem(name, "%s", o.unknown(d, name))
		}
	}
}

// unknown says what to do about a variable that sets nothing.
func (o overrides) unknown(d *decoder, name string) string {
	for key, said := range d.retired {
		if f := (field{key: key}); strings.HasPrefix(name, f.envName(o.prefix)+"_") {
			return "unset it: " + said
		}
	}
	return "unknown variable; unset it, or correct its name"
}

// settable reports whether f can be written as one text: anything but a list of
// structs, or named ones.
func settable(f field) bool {
	t := f.value.Type()
	return t.Kind() != reflect.Map && (t.Kind() != reflect.Slice || !isSection(t.Elem()))
}
