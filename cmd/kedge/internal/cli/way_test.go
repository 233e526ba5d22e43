package cli_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kedge/cmd/kedge/internal/cli"
	"kedge/controller/controllertest"
	"kedge/proto"
)

// TestOneServerOfSeveralIsEnough: of a cluster one may be gone, or be there and say nothing.
func TestOneServerOfSeveralIsEnough(t *testing.T) {
	c, err := controllertest.Start(t.Context(), t.TempDir(), &controllertest.World{}, t.Output(), controllertest.WithTLS)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, mute := "tls://"+freeAddress(t), "tls://"+silent.Addr().String()
	pin, _ := c.Pin()
	for name, tt := range map[string]struct {
		beside []string // servers in the access file
		args   []string
		env    string // KEDGE_SERVER
	}{
		"the first beside the credentials is gone":        {beside: []string{gone, c.NATSURL()}},
		"the first beside the credentials says nothing":   {beside: []string{mute, c.NATSURL()}},
		"the first of the flag is gone":                   {args: []string{"--server", gone + "," + c.NATSURL(), "--pin", pin.String()}},
		"the first of the environment is gone":            {env: gone + ", " + c.NATSURL(), args: []string{"--pin", pin.String()}},
		"the flag comes before what is said beside those": {beside: []string{gone}, args: []string{"--server", c.NATSURL(), "--pin", pin.String()}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(c.AdminCredentials())
			if err != nil {
				t.Fatal(err)
			}
			creds := filepath.Join(t.TempDir(), "eva.creds")
			if err := os.WriteFile(creds, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if len(tt.beside) > 0 {
				text, err := proto.Access{Servers: tt.beside, Pins: []proto.Pin{pin}}.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(strings.TrimSuffix(creds, ".creds")+".json", text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			env := map[string]string{"KEDGE_SERVER": tt.env, "KEDGE_CREDS": creds}
			err = cli.Run(t.Context(), cli.Options{Stdout: t.Output(), Stderr: t.Output(), Getenv: func(k string) string { return env[k] }}, append([]string{"status"}, tt.args...))
			if cli.ExitCode(err) != cli.ExitOK {
				t.Errorf("kedge status: %v", err)
			}
		})
	}
}

func TestEveryServerThatIsNoneIsNamed(t *testing.T) {
	creds := filepath.Join(t.TempDir(), "eva.creds")
	for text, want := range map[string][]string{
		"tls://n1:4222,http://n2,n3:4222,tls://,nats://eva:s3cret@%": {"http://n2: must begin", "n3:4222: must begin", "tls:: names no host", `"%": not a URL`},
		"tls://n1:4222,wss://n2/nats":                                {"cannot be mixed"},
		",":                                                          {"at least one URL"},
	} {
		var out bytes.Buffer
		err := cli.Run(t.Context(), cli.Options{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}, []string{"status", "--creds", creds, "--server", text})
		if cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%s: exit code %d of %v, want %d", text, cli.ExitCode(err), err, cli.ExitUsage)
			continue
		}
		for _, w := range want {
			if !strings.Contains(strings.ReplaceAll(err.Error(), "tls://:", "tls::"), w) || !strings.Contains(err.Error(), "--server: ") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: got %v, want it to say %q", text, err, w)
			}
		}
	}
}
