package loader

import (
	"slices"
	"strconv"
	"strings"

	"kedge/proto"
)

// A menuEntry is one of GRUB's menu that boots Linux.
type menuEntry struct {
	path    []menuLine // its submenus and itself
	options string     // what follows the command that loads the kernel
}

// A menuLine is an entry or a submenu where it is shown.
type menuLine struct {
	title string
	place int  // among its siblings, from 0
	open  bool // anybody may boot it, where GRUB has passwords
}

// choice returns the entry as GRUB's variables name it.
func (e menuEntry) choice() string {
	names := make([]string, len(e.path))
	for i, l := range e.path {
		names[i] = l.name()
	}
	return strings.Join(names, ">")
}

// name returns what GRUB finds the line by: its title, or its place if GRUB would
// read the title as something else. What begins with > cannot be told from what
// separates lines, and what begins with a digit is taken for a place. NixOS' submenu
// of a generation with specialisations begins with >.
func (l menuLine) name() string {
	if l.title == "" || strings.ContainsRune(">0123456789 ", rune(l.title[0])) {
		return strconv.Itoa(l.place)
	}
	return strings.ReplaceAll(l.title, ">", ">>")
}

// asks reports whether GRUB asks for a password, if it has any, before it boots the
// entry, which is a generation.
func (e menuEntry) asks() bool {
	return len(e.path) > 1 && slices.ContainsFunc(e.path, func(l menuLine) bool { return !l.open })
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
	type block struct {
		line  *menuLine // nil for what is no part of the menu
		lines int       // in it
	}
	open := []block{{}} // the menu itself
	for text := range strings.Lines(text) {
		text = strings.TrimSpace(text)
		word, rest, _ := strings.Cut(text, " ")
		switch {
		case text == "}":
			open = open[:max(1, len(open)-1)]
		case strings.HasSuffix(text, "{") && (word == "menuentry" || word == "submenu"):
			title, options := quoted(strings.TrimSpace(rest))
			parent := &open[len(open)-1]
			line := menuLine{title: title, place: parent.lines, open: slices.Contains(strings.Fields(options), "--unrestricted")}
			parent.lines++
			open = append(open, block{line: &line})
		case strings.HasSuffix(text, "{"):
			open = append(open, block{})
		case len(open) > 1 && slices.Contains(kernelCommands(), word):
			e := menuEntry{options: rest}
			for _, b := range open {
				if b.line != nil {
					e.path = append(e.path, *b.line)
				}
			}
			entries = append(entries, e)
		}
	}
	return entries
}

// kernelCommands load Linux; module does below Xen.
func kernelCommands() []string { return []string{"linux", "linuxefi", "linux16", "module", "module2"} }

// quoted returns what is in the quotes that text begins with, and what follows.
func quoted(text string) (inside, rest string) {
	if text == "" {
		return "", ""
	}
	quote := text[0]
	if quote != '"' && quote != '\'' {
		inside, rest, _ = strings.Cut(text, " ")
		return inside, rest
	}
	var b strings.Builder
	i := 1
	for ; i < len(text) && text[i] != quote; i++ {
		if quote == '"' && text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String(), text[min(i+1, len(text)):]
}

// onceByMenu returns what a grub.cfg lacks to boot next_entry once, and its
// default after that; empty if it lacks nothing.
func onceByMenu(text string) string {
	commands, passwords := map[string]bool{}, false
	for line := range strings.Lines(text) {
		command := strings.ReplaceAll(strings.TrimSpace(line), `"`, "")
		commands[command] = true
		passwords = passwords || strings.HasPrefix(command, "set superusers=")
	}
	for _, command := range []string{"load_env", "set default=${next_entry}", "set next_entry=", "save_env next_entry"} {
		if !commands[command] {
			return "does not have the line " + command + ", so that an entry could not be booted once"
		}
	}
	if commands["set default=${saved_entry}"] {
		return "has what was booted last for its default (boot.loader.grub.default = \"saved\")"
	}
	if passwords && slices.ContainsFunc(parseMenu(text), menuEntry.asks) {
		return "lets only people with a password boot an older generation (boot.loader.grub.users)"
	}
	return ""
}
