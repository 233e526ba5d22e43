package bootloader

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// kernelFiles are the links of a toplevel whose targets are copied to the boot partition.
var kernelFiles = [...]string{"kernel", "initrd"}

// kernelName is the name on the boot partition of one of a generation's kernelFiles: it tells store
// paths apart, so that generations with the same kernel share it.
func kernelName(g generation, file string) (string, error) {
	target, err := filepath.EvalSymlinks(filepath.Join(g.toplevel, file))
	if err != nil {
		return "", fmt.Errorf("find %s: %w", file, err)
	}
	return filepath.Base(filepath.Dir(target)) + "-" + filepath.Base(target) + ".efi", nil
}

// writeEntry copies the generation's kernel and initrd, unless they are there, and writes its entry.
func (d Disk) writeEntry(g generation) error {
	names := map[string]string{}
	for _, file := range kernelFiles {
		name, err := kernelName(g, file)
		if err != nil {
			return err
		}
		names[file] = name
		to := filepath.Join(d.kernels(), name)
		if _, err := os.Stat(to); err == nil {
			continue
		}
		content, err := os.ReadFile(filepath.Join(g.toplevel, file))
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if err := replace(to, content); err != nil {
			return err
		}
	}
	params, err := os.ReadFile(filepath.Join(g.toplevel, "kernel-params"))
	if err != nil {
		return fmt.Errorf("read kernel parameters: %w", err)
	}
	label, err := os.ReadFile(filepath.Join(g.toplevel, "nixos-version"))
	if err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	entry := fmt.Sprintf("title NixOS\nsort-key nixos\nversion Generation %d NixOS %s\nlinux /EFI/nixos/%s\ninitrd /EFI/nixos/%s\noptions init=%s/init %s\n",
		g.number, strings.TrimSpace(string(label)), names["kernel"], names["initrd"], g.toplevel, strings.TrimSpace(string(params)))
	file, err := d.entryFile(g)
	if err != nil {
		return err
	}
	return replace(file, []byte(entry))
}

// tries is how often an entry may be booted until it must have been good, where boots are counted.
const tries = 3

// entryFile returns where the generation's entry is, with the loader's count of its boots in its name, or where a new one
// belongs.
func (d Disk) entryFile(g generation) (string, error) {
	plain := filepath.Join(d.entries(), g.file())
	prefix := strings.TrimSuffix(plain, ".conf")
	counted, err := filepath.Glob(prefix + "+*.conf")
	if err != nil {
		return "", fmt.Errorf("find boot entry: %w", err)
	}
	if len(counted) > 0 {
		return counted[0], nil
	}
	_, err = os.Stat(plain)
	_, uncounted := os.Stat(filepath.Join(d.Boot, countFile))
	if err == nil || uncounted != nil {
		return plain, nil
	}
	return fmt.Sprintf("%s+%d.conf", prefix, tries), nil
}

// replace makes content the file's content, durably and at once. A file that has it already is left
// alone.
func replace(file string, content []byte) error {
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	tmp := file + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return fmt.Errorf("write boot file: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write boot file %s: %w", file, err), os.Remove(tmp))
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("replace boot file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return fmt.Errorf("sync boot folder: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
