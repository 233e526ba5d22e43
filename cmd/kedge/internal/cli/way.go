package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"kedge/internal/usage"
	"kedge/proto"
	"kedge/proto/bus"
	"kedge/proto/outbound"
)

// defaultServer is where the controller of this machine listens, if it did not
// say so beside the credentials.
const defaultServer = "tls://127.0.0.1:4222"

// way returns the servers to connect to, of which one is enough, and how: what flags and
// environment say, else what the controller says beside these credentials.
func (k *kedge) way(credentials string) (servers []string, o outbound.Options, err error) {
	o.CAFile = first(k.caFile, k.Getenv("KEDGE_CA_FILE"))
	for _, text := range strings.FieldsFunc(first(strings.Join(k.pins, ","), k.Getenv("KEDGE_PINS")), isSeparator) {
		pin, err := proto.ParsePin(text)
		if err != nil {
			return nil, o, usage.Errorf("--pin: %v", err)
		}
		o.Pins = append(o.Pins, pin)
	}
	if text := first(k.servers, k.Getenv("KEDGE_SERVER")); text != "" {
		if servers, err = bus.ParseServers("--server", text); err != nil {
			return nil, o, &usage.Error{Err: err}
		}
		return servers, o, nil
	}
	a, err := accessBeside(credentials)
	if err != nil || len(a.Servers) == 0 {
		return []string{defaultServer}, o, err
	}
	if !o.Trusts() {
		o.Pins, o.CAFile = a.Pins, a.CAFile
	}
	return a.Servers, o, nil
}

func isSeparator(r rune) bool { return r == ',' || r == ' ' }

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// accessFile returns the file beside credentials.
func accessFile(credentials string) string {
	return strings.TrimSuffix(credentials, ".creds") + ".json"
}

// accessBeside reads what the controller says beside credentials: NAME.json beside
// NAME.creds. There may be nothing.
func accessBeside(credentials string) (proto.Access, error) {
	file := accessFile(credentials)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return proto.Access{}, nil
	}
	if err != nil {
		return proto.Access{}, fmt.Errorf("read how to connect: %w", err)
	}
	a, err := proto.ParseAccess(b)
	if err != nil {
		return proto.Access{}, fmt.Errorf("read how to connect, %s: %w", file, err)
	}
	return a, nil
}
