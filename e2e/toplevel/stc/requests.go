package stc

// deprecated is said whenever an activation script asks for units.
const deprecated = "WARN: restarting or reloading systemd units from the activation script is deprecated" +
	" and will be removed in NixOS 26.11."

// requested adds to the plan what the activation script asked for through its lists, and forgets
// the lists.
func (l *live) requested(restart, reload string) error {
	if l.lists.exists(restart) || l.lists.exists(reload) {
		if err := l.say(deprecated); err != nil {
			return err
		}
	}
	for _, name := range l.lists.read(restart).sorted() {
		if _, active := l.before[name]; !active {
			l.plan.addStart(name)
			continue
		}
		at := locate(name, l.collector.oldDir, l.collector.newDir)
		fresh, err := readUnit(at.file, at.base)
		if err != nil {
			return err
		}
		l.collector.modified(at, fresh, true)
	}
	if err := l.lists.remove(restart); err != nil {
		return err
	}
	for name := range l.lists.read(reload) {
		_, active := l.before[name]
		if active && !l.plan.restart.has(name) && !l.plan.stop.has(name) {
			l.plan.addReload(name)
		}
	}
	return l.lists.remove(reload)
}
