//go:build e2e

package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"kedge/e2e/fleet"
)

// What a forge and the controller share, on the build host.
const (
	forgeKey     = "/root/forge-key"
	knownHosts   = "/root/forge-hosts"
	forgeToken   = "/root/forge-token"
	hookSecret   = "/root/hook-secret"
	hookPassword = "what the forge knows"
)

// What the forge has for itself, there.
const (
	authorizedKeys   = "/root/.ssh/authorized_keys"
	theirToken       = "/etc/forge-token"
	forgeCertificate = "/etc/forge.pem"
	forgeAddress     = "127.0.0.1:8443"
	forgeUnit        = "forge.service"
)

// startForge lets the repository be reached by ssh, with a key, and over https, with a
// token; and makes the secret of its webhooks.
func startForge(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	makeKey(t, f, forgeKey)
	f.MustRunOnBuild(t, "install", "-D", "--mode=0600", forgeKey+".pub", authorizedKeys)
	f.MustRunOnBuild(t, "systemctl", "start", "ssh.service")
	f.MustRunOnBuild(t, "sh", "-c", `sed 's|^|127.0.0.1 |' /etc/ssh/ssh_host_ed25519_key.pub > "$0"`, knownHosts)
	for file, text := range map[string]string{hookSecret: hookPassword, forgeToken: firstToken, theirToken: firstToken} {
		if err := f.Build().WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Build().WriteFile("/usr/local/bin/forge", compile(t, "kedge/e2e/cmd/forge"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.MustRunOnBuild(t, "systemd-run", "--quiet", "--unit="+forgeUnit, "--service-type=notify",
		"/usr/local/bin/forge", "-listen="+forgeAddress, "-root="+filepath.Dir(fleet.Repository), "-token="+theirToken, "-certificate="+forgeCertificate)
	f.MustRunOnBuild(t, "git", "config", "--system", "http.https://"+forgeAddress+".sslCAInfo", forgeCertificate)
}

// Tokens of the forge; each is told from what is said of it.
const (
	firstToken  = "s3cret-first"
	secondToken = "s3cret-second"
)

// overSSH returns where a repository is that is reached by ssh, and with what.
func overSSH(repository string) []string {
	return []string{"url: ssh://root@127.0.0.1" + repository, "ssh_key_file: " + forgeKey, "known_hosts_file: " + knownHosts}
}

// overHTTPS returns where a repository is that is reached over https, and with what.
func overHTTPS(repository string) []string {
	return []string{"url: https://" + forgeAddress + "/" + filepath.Base(repository), "token_file: " + forgeToken, "user: robot"}
}

// channel returns the configuration of a channel with the branch of that name, at a
// place on the forge. Looks are so seldom that only webhooks have it looked at, but for
// the one at the start.
func channel(name, hosts string, at []string, more ...string) string {
	lines := append([]string{
		"  " + name + ":",
		"branch: " + name,
		"poll: 24h",
		fmt.Sprintf("hosts: %q", hosts),
		"webhook: {kind: github, secret_file: " + hookSecret + "}",
	}, at...)
	return strings.Join(append(lines, more...), "\n    ") + "\n"
}

// sourcesOf returns a function that has the controller follow other channels, and
// starts it anew. The rest of its configuration stays.
func sourcesOf(t *testing.T, f *fleet.Fleet) func(t *testing.T, channels ...string) {
	t.Helper()
	config, err := f.Build().ReadFile(controllerConfig)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(config), "\nnats:\n")
	if !found {
		t.Fatalf("the controller's configuration has no nats:\n%s", config)
	}
	return func(t *testing.T, channels ...string) {
		t.Helper()
		text := "sources:\n" + strings.Join(channels, "") + "nats:\n" + rest
		if err := f.Build().WriteFile(controllerConfig, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		f.MustRunOnBuild(t, "systemctl", "restart", "kedge-controller.service")
	}
}

// requireHook tells a channel of a push to a branch, as GitHub would, and fails unless
// the controller answers with the status.
func requireHook(t *testing.T, f *fleet.Fleet, channel, branch, password, status string) {
	t.Helper()
	requireHooks(t, f, channel, branch, password, status, 1)
}

// requireHooks is requireHook, so often in a row.
func requireHooks(t *testing.T, f *fleet.Fleet, channel, branch, password, status string, n int) {
	t.Helper()
	body := `{"ref":"refs/heads/` + branch + `","forced":false}`
	mac := hmac.New(sha256.New, []byte(password))
	mac.Write([]byte(body))
	got := f.MustRunOnBuild(t, "curl", "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code} ",
		"--header", "X-GitHub-Event: push", "--header", "X-Hub-Signature-256: sha256="+hex.EncodeToString(mac.Sum(nil)),
		"--header", "Content-Type: application/json", "--data", body, fmt.Sprintf("https://127.0.0.1:8080/hook/%s?[1-%d]", channel, n))
	if want := strings.Repeat(status+" ", n); got != want {
		t.Fatalf("webhooks of %s about %s were answered with %s, want %s", channel, branch, got, want)
	}
}

// hooks returns the metric of so many webhooks.
func hooks(channel, result string, n int) string {
	return fmt.Sprintf("kedge_controller_webhooks_total{channel=%q,result=%q} %d\n", channel, result, n)
}

func makeKey(t *testing.T, f *fleet.Fleet, file string) {
	t.Helper()
	f.MustRunOnBuild(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file)
}
