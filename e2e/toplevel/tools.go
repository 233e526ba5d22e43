package toplevel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// tools are the programs in every toplevel, commands of this folder.
var tools = [...]string{"switch-to-configuration", "install-bootloader", "check-inhibitors", "setup-etc", "make-tree", "app"}

// BuildTools compiles the programs of the toplevels into dir/bin. dir, once added to a store, is what
// Fleet.Tools names. It needs Go and runs anywhere in the module's tree.
func BuildTools(ctx context.Context, dir string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("build tools: %w", err)
	}
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", bin + "/"}
	for _, name := range tools {
		args = append(args, "kedge/e2e/toplevel/cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build tools: %w\n%s", err, out)
	}
	return nil
}
