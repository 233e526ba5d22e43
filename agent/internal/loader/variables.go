package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf16"
)

// What systemd calls the boot loader interface: EFI variables of one vendor.
const (
	variablesDir = "/sys/firmware/efi/efivars"
	vendor       = "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

	loaderInfo     = "LoaderInfo"
	loaderFeatures = "LoaderFeatures"
	oneShotEntry   = "LoaderEntryOneShot"
	countPath      = "LoaderBootCountPath" // of the entry that was booted, if its boots are counted
)

// featureOneShot is a bit of LoaderFeatures.
const featureOneShot = 1 << 3

// attributesLen is how many bytes of attributes are in front of a value.
const attributesLen = 4

// variables are the boot loader's EFI variables, as the kernel shows them.
type variables struct{ dir string }

// value returns a variable's value; none if there is no such variable.
func (v variables) value(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(v.dir, name+vendor))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read EFI variable: %w", err)
	}
	if len(b) < attributesLen {
		return nil, fmt.Errorf("read EFI variable %s: it has %d bytes, too few for its attributes", name, len(b))
	}
	return b[attributesLen:], nil
}

// text returns the value of a variable that is text; empty if there is none.
func (v variables) text(name string) (string, error) {
	b, err := v.value(name)
	if err != nil {
		return "", err
	}
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units)), nil
}

// features returns LoaderFeatures; none if the loader does not tell.
func (v variables) features() (uint64, error) {
	b, err := v.value(loaderFeatures)
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("read EFI variable %s: it has %d bytes, want 8", loaderFeatures, len(b))
	}
	return binary.LittleEndian.Uint64(b), nil
}
