package setup

import "github.com/spf13/pflag"

// LogFlags adds the flags that set the section "log", a [LogConfig].
func LogFlags(f *pflag.FlagSet) {
	f.String("log-level", "", "log from this `LEVEL` on: debug, info, warn or error")
	f.String("log-format", "", "`FORMAT` of the log: auto, text or json")
}
