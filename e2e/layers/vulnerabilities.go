package layers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kedge/e2e/internal/command"
)

// The tool that knows which functions a program may call, and what it looks them up
// in. Both are Go modules; a newer database is another version of it.
const (
	vulnerabilityTool     = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
	vulnerabilityDatabase = "golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018"
)

// vulnerabilities fails if one of the project's programs may call a function that is
// known to be vulnerable, of a module or of the standard library of the Go in use.
func vulnerabilities(ctx context.Context) (string, error) {
	database, err := downloadModule(ctx, vulnerabilityDatabase)
	if err != nil {
		return "", err
	}
	said, err := command.Run(ctx, command.Command{
		Args: []string{"go", "run", vulnerabilityTool, "-format=json", "-db=file://" + filepath.Join(database, "data", "osv"), "./cmd/..."},
		Env:  staticBuild(),
	})
	if err != nil {
		return said, err
	}
	called, err := calledVulnerabilities(strings.NewReader(said))
	if err != nil {
		return said, err
	}
	if len(called) > 0 {
		return strings.Join(called, "\n"), errors.New("vulnerable functions may be called")
	}
	return "", nil
}

// downloadModule returns the folder of a module.
func downloadModule(ctx context.Context, module string) (string, error) {
	// Elsewhere, so that it is not taken for one that the project needs.
	said, err := command.Run(ctx, command.Command{Args: []string{"go", "mod", "download", "-json", module}, Dir: os.TempDir()})
	if err != nil {
		return "", err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal([]byte(said), &downloaded); err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	return downloaded.Dir, nil
}

// calledVulnerabilities returns what the tool found, each once, without what is only
// in a module or a package, but is not called.
func calledVulnerabilities(said io.Reader) ([]string, error) {
	var called []string
	scanned := false
	for d := json.NewDecoder(said); ; {
		var message struct {
			Config  *struct{}
			Finding *struct {
				OSV          string
				FixedVersion string `json:"fixed_version"`
				Trace        []struct{ Module, Version, Function string }
			}
		}
		err := d.Decode(&message)
		if errors.Is(err, io.EOF) && scanned {
			return called, nil
		}
		if err != nil {
			return nil, fmt.Errorf("what govulncheck said: %w", err)
		}
		scanned = scanned || message.Config != nil
		f := message.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" {
			continue
		}
		fixed := "not fixed yet"
		if f.FixedVersion != "" {
			fixed = "fixed in " + f.FixedVersion
		}
		v := fmt.Sprintf("%s: %s %s, %s", f.OSV, f.Trace[0].Module, f.Trace[0].Version, fixed)
		if !slices.Contains(called, v) {
			called = append(called, v)
		}
	}
}
