package loader

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	envBlockLen    = 1024 // of a new one
	envBlockHeader = "# GRUB Environment Block\n"
	nextEntry      = "next_entry=" // begins the line of the entry that is booted once
)

// An envBlock is GRUB's memory: a file of a fixed size, filled up with '#',
// which GRUB can change without understanding the file system.
type envBlock struct {
	size  int
	lines []string // name=value, escaped
}

// parseEnvBlock decodes a file.
func parseEnvBlock(b []byte) (envBlock, error) {
	text, ok := strings.CutPrefix(string(b), envBlockHeader)
	if !ok {
		return envBlock{}, errors.New("it is no GRUB environment block")
	}
	e := envBlock{size: len(b)}
	// A value has its line feeds escaped, so that they end no line.
	for text != "" && text[0] != '#' {
		end := 0
		for end < len(text) && text[end] != '\n' {
			if text[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(text))
		e.lines = append(e.lines, text[:end])
		text = strings.TrimPrefix(text[end:], "\n")
	}
	return e, nil
}

// next returns the entry that is booted once; empty if there is none.
func (e envBlock) next() string {
	for _, line := range e.lines {
		if value, ok := strings.CutPrefix(line, nextEntry); ok {
			return unescape(value)
		}
	}
	return ""
}

// withNext returns e with choice as the entry that is booted once; empty is none.
func (e envBlock) withNext(choice string) envBlock {
	e.lines = slices.DeleteFunc(slices.Clone(e.lines), func(line string) bool { return strings.HasPrefix(line, nextEntry) })
	if choice != "" {
		e.lines = append(e.lines, nextEntry+escape(choice))
	}
	return e
}

// encode returns the file.
func (e envBlock) encode() ([]byte, error) {
	text := envBlockHeader
	if len(e.lines) > 0 {
		text += strings.Join(e.lines, "\n") + "\n"
	}
	if len(text) > e.size {
		return nil, fmt.Errorf("its %d bytes do not suffice for %d", e.size, len(text))
	}
	return []byte(text + strings.Repeat("#", e.size-len(text))), nil
}

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", "\\\n").Replace(s)
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
