package loader

import (
	"slices"
	"strings"

	"kedge/proto"
)

// A menuEntry is one of GRUB's menu that boots Linux.
type menuEntry struct {
	titles  []string // of its submenus and its own
	options string   // what follows the command that loads the kernel
}

// choice returns the entry as GRUB's variables name it.
func (e menuEntry) choice() string {
	titles := slices.Clone(e.titles)
	for i, t := range titles {
		titles[i] = strings.ReplaceAll(t, ">", ">>")
	}
	return strings.Join(titles, ">")
}

// entriesOf returns those of entries that boot toplevel.
func entriesOf(entries []menuEntry, toplevel proto.StorePath) (found []menuEntry) {
	for _, e := range entries {
		if boots(e.options, toplevel) {
			found = append(found, e)
		}
	}
	return found
}

// parseMenu returns the entries of a grub.cfg as NixOS writes it: one command a
// line, and the braces of menus at the ends of lines.
func parseMenu(text string) (entries []menuEntry) {
	var open []string // titles of what is open; empty for another block
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "}":
			open = open[:max(0, len(open)-1)]
		case strings.HasSuffix(line, "{"):
			title := ""
			if word == "menuentry" || word == "submenu" {
				title = quoted(strings.TrimSpace(rest))
			}
			open = append(open, title)
		case len(open) > 0 && slices.Contains(kernelCommands(), word):
			titles := slices.DeleteFunc(slices.Clone(open), func(t string) bool { return t == "" })
			entries = append(entries, menuEntry{titles: titles, options: rest})
		}
	}
	return entries
}

// kernelCommands load Linux; module does below Xen.
func kernelCommands() []string { return []string{"linux", "linuxefi", "linux16", "module", "module2"} }

// quoted returns what is in the quotes that text begins with.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	quote := text[0]
	if quote != '"' && quote != '\'' {
		word, _, _ := strings.Cut(text, " ")
		return word
	}
	var b strings.Builder
	for i := 1; i < len(text) && text[i] != quote; i++ {
		if quote == '"' && text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// onceByMenu returns what a grub.cfg lacks to boot next_entry once, and its
// default after that; empty if it lacks nothing.
func onceByMenu(text string) string {
	commands := map[string]bool{}
	for line := range strings.Lines(text) {
		commands[strings.ReplaceAll(strings.TrimSpace(line), `"`, "")] = true
	}
	for _, command := range []string{"load_env", "set default=${next_entry}", "set next_entry=", "save_env next_entry"} {
		if !commands[command] {
			return "does not have the line " + command + ", so that an entry could not be booted once"
		}
	}
	if commands["set default=${saved_entry}"] {
		return "has what was booted last for its default (boot.loader.grub.default = \"saved\")"
	}
	return ""
}
