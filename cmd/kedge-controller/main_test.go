package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckConfig(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		out, err   string
	}{
		{
			name: "a good one",
			text: "source: {url: /srv/fleet.git}\nnats: {advertise: [\"nats://build:4222\"]}\ncache: {urls: [\"http://build:8080/cache\"]}\n",
			out:  "controller.yaml: ok\n",
		},
		{name: "a bad one", text: "sauce: {}\n", err: "sauce"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "controller.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd := command(&out, &out)
			cmd.SetArgs([]string{"--check-config", "--config", file})
			err := cmd.ExecuteContext(t.Context())
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error = %v, want %q", err, tt.err)
			}
			if !strings.HasSuffix(out.String(), tt.out) {
				t.Errorf("output = %q, want %q", out.String(), tt.out)
			}
		})
	}
}
