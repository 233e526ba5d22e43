package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"kedge/internal/netrc"
)

// nixNetrc is where Nix has the credentials for HTTP if nothing else is said.
const nixNetrc = "/etc/nix/netrc"

// login returns what the netrc file of t has for a host. Nix' own need not be there.
func (t Target) login(host string) (netrc.Login, error) {
	if t.CredentialsFile != "" {
		text, err := os.ReadFile(t.CredentialsFile)
		if err != nil {
			return netrc.Login{}, fmt.Errorf("credentials_file: %w", err)
		}
		return netrc.Find(string(text), host), nil
	}
	text, err := os.ReadFile(nixNetrc)
	if errors.Is(err, fs.ErrNotExist) {
		return netrc.Login{}, nil
	}
	return netrc.Find(string(text), host), err
}

// An accessKey is what S3 knows a client by.
type accessKey struct{ id, secret, session string }

// accessKey returns the key of a profile in the credentials file of t, which is in the
// format of AWS' own.
func (t Target) accessKey(profile string) (accessKey, error) {
	text, err := os.ReadFile(t.CredentialsFile)
	if err != nil {
		return accessKey{}, fmt.Errorf("credentials_file: %w", err)
	}
	key := parseAccessKey(string(text), profile)
	if key.id == "" || key.secret == "" {
		return accessKey{}, fmt.Errorf("credentials_file: %s must have aws_access_key_id and aws_secret_access_key in its section [%s]", t.CredentialsFile, profile)
	}
	return key, nil
}

func parseAccessKey(text, profile string) accessKey {
	var key accessKey
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSpace(strings.TrimSuffix(name, "]"))
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || section != profile {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			key.id = value
		case "aws_secret_access_key":
			key.secret = value
		case "aws_session_token":
			key.session = value
		}
	}
	return key
}
