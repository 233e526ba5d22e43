//go:build e2e

package e2e_test

import (
	"context"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kedge/e2e/fleet"
)

// What the secrets of a fleet look like where they are kept.
var (
	seed       = regexp.MustCompile(`\bS[A-Z][A-Z2-7]{56}\b`)
	secretKey  = regexp.MustCompile(`[A-Za-z0-9+/]{86}==`)
	privatePEM = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\n(\S+)`)
	payload    = regexp.MustCompile(`"payload":\s*"([A-Za-z0-9+/=]+)"`)
	cacheToken = regexp.MustCompile(`"cache_token":\s*"([^"]+)"`)
)

// Where controller and agent keep them.
const (
	controllerSecrets = "cd /var/lib/kedge-controller && find keys admin.creds -type f -exec cat {} +"
	controllerDesired = "cat /var/lib/kedge-controller/desired/*.json"
	agentSecrets      = "cat /var/lib/kedge/host.creds"
)

// lookForSecrets names where something of what it reads is found: what everybody on the
// machine, or who reads its logs, can see.
const lookForSecrets = `set -eu
cd "$(mktemp -d)"
cat > secrets
found() { if grep --text --quiet --fixed-strings --file=secrets "$2"; then echo "$1"; fi; }
journalctl --output=export --all > journal; found journal journal
cat /proc/[0-9]*/cmdline > argv 2>/dev/null || true; found argv argv
curl --silent --insecure https://127.0.0.1:8080/metrics http://127.0.0.1:9417/metrics > metrics || true; found metrics metrics
if command -v kedge > /dev/null; then
	{ kedge status --json; kedge events; kedge audit; kedge host list; } > told 2>&1; found "what kedge tells" told
fi
grep --recursive --text --files-with-matches --fixed-strings --file=secrets /nix/store /etc/kedge || true
[ -s journal ] && [ -s argv ] && [ -s metrics ] || echo "nothing to look at"
rm -r "$PWD"
`

// requireNoSecrets looks for every secret of the fleet where none may be.
func requireNoSecrets(t *testing.T, f *fleet.Fleet, more ...string) {
	t.Helper()
	kept := f.MustRunOnBuild(t, "sh", "-c", controllerSecrets)
	for _, h := range f.Hosts() {
		kept += h.MustRun(t, "sh", "-c", agentSecrets)
	}
	desired := f.MustRunOnBuild(t, "sh", "-c", controllerDesired)
	for _, encoded := range payload.FindAllStringSubmatch(desired, -1) {
		text, err := base64.StdEncoding.DecodeString(encoded[1])
		if err != nil {
			t.Fatal(err)
		}
		desired += string(text)
	}
	secrets := more
	for name, found := range map[string][]string{
		"seeds of NATS":    seed.FindAllString(kept, -1),
		"signing keys":     secretKey.FindAllString(kept, -1),
		"keys of TLS":      last(privatePEM.FindAllStringSubmatch(kept, -1)),
		"tokens for cache": last(cacheToken.FindAllStringSubmatch(desired, -1)),
	} {
		if len(found) == 0 {
			t.Fatalf("no %s are where they should be", name)
		}
		secrets = append(secrets, found...)
	}
	slices.Sort(secrets)
	input := strings.Join(slices.Compact(secrets), "\n") + "\n"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, h := range f.Hosts() {
		found, err := h.RunInput(ctx, strings.NewReader(input), "sh", "-c", lookForSecrets)
		if err != nil || found != "" {
			t.Errorf("%s: secrets are in: %s, error %v", h.Name(), found, err)
		}
	}
	found, err := f.Build().RunInput(ctx, strings.NewReader(input), "sh", "-c", lookForSecrets)
	if err != nil || found != "" {
		t.Errorf("build host: secrets are in: %s, error %v", found, err)
	}
}

// last returns the last group of each match.
func last(matches [][]string) (all []string) {
	for _, m := range matches {
		all = append(all, m[len(m)-1])
	}
	return all
}
