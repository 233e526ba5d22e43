// Package setup reads configuration and makes the logger: everything that a
// program does before it can start. It is the only package that knows viper
// and tint.
//
// # Configuration
//
// A configuration is a struct whose fields carry a tag with their key:
//
//	type Config struct {
//		NATS NATS          `config:"nats"`
//		Poll time.Duration `config:"poll"`
//	}
//	type NATS struct {
//		Servers []string `config:"servers"`
//	}
//
// A nested struct is a section; fields without the tag are not configured.
// Values are text, booleans, numbers, durations (text with a unit, such as
// "30s", never a bare number), types with UnmarshalText, pointers to these,
// lists of these or of structs, and maps from names to structs, whose defaults
// are those of a [Defaulter]. Only a file can hold the last two.
//
// [Load] takes nats.servers from the file, from the environment
// (KEDGE_NATS_SERVERS=a,b) and from the command line (--nats-servers=a,b), the
// later ones winning. It is strict: a key that does not exist, a value of the
// wrong type or without its unit is an error, and one [ConfigError] tells all
// of them at once.
package setup
