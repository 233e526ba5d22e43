package vm

import (
	"context"
	"fmt"
	"os"
	"strings"
	"unicode/utf16"
)

// loaderVariable is the path of a variable through which systemd-boot and the system tell each other things.
func loaderVariable(name string) string {
	return "/sys/firmware/efi/efivars/" + name + "-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
}

// Entry returns the name of the boot entry that the loader has booted.
func (c *Computer) Entry(ctx context.Context) (string, error) {
	out, err := c.Run(ctx, "cat", loaderVariable("LoaderEntrySelected"))
	if err != nil {
		return "", err
	}
	return variableText([]byte(out)), nil
}

// variableText is the text in the content of an EFI variable's file: four bytes of attributes, then UTF-16 up to a zero.
func variableText(content []byte) string {
	const attributes = 4
	var text []uint16
	for i := attributes; i+1 < len(content); i += 2 {
		text = append(text, uint16(content[i])|uint16(content[i+1])<<8)
	}
	return strings.TrimRight(string(utf16.Decode(text)), "\x00")
}

// shownBytes is how much of the end of a console a failure shows.
const shownBytes = 2 << 10

// lastWords returns the end of what the console said.
func (c *Computer) lastWords() string {
	said, err := os.ReadFile(c.Console())
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return string(said[max(0, len(said)-shownBytes):])
}
