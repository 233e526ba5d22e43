// Command guest runs in a computer and does what the harness asks over the serial line.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kedge/e2e/vm/guest"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	device, err := findLine()
	if err != nil {
		return err
	}
	line, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer line.Close() // nothing is said when it is closed
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	return guest.Serve(ctx, line, strings.TrimSpace(string(boot)), os.Environ())
}

// findLine finds the line's device without udev, by the name that QEMU gave it.
func findLine() (string, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return "", err
	}
	for _, file := range names {
		name, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(string(name)) == guest.LineName {
			return "/dev/" + filepath.Base(filepath.Dir(file)), nil
		}
	}
	return "", errors.New("there is no serial line " + guest.LineName)
}
