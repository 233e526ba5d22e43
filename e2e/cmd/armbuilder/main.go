// Command armbuilder is a builder of Nix: it makes a system, the program of which it is itself.
// What the system is called is the processor that it runs on.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Getenv("out")); err != nil {
		fmt.Fprintln(os.Stderr, "armbuilder:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	machine := unix.ByteSliceToString(name.Machine[:])
	fmt.Fprintln(os.Stderr, "this is a machine of kind", machine)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("read the builder itself: %w", err)
	}
	for _, dir := range []string{"bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(out, dir), 0o755); err != nil {
			return err
		}
	}
	for file, content := range map[string][]byte{
		"init": nil, "init-interface-version": nil, "nixos-version": []byte(machine), "bin/switch-to-configuration": self,
	} {
		if err := os.WriteFile(filepath.Join(out, file), content, 0o755); err != nil {
			return err
		}
	}
	return nil
}
