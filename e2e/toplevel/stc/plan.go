package stc

import "slices"

// A plan says what is to become of which unit. What is started, restarted and reloaded is on the
// resume lists as well, as soon as it is in the plan.
type plan struct {
	lists lists

	stop    set
	start   set
	restart set
	reload  set
	skip    set // changed, and left alone because the unit says so
	hidden  set // not worth a word in the output
}

// newPlan returns a plan that begins with what an interrupted run left on the resume lists.
func newPlan(l lists) *plan {
	return &plan{
		lists: l,
		start: l.read(startList), restart: l.read(restartList), reload: l.read(reloadList),
		stop: set{}, skip: set{}, hidden: set{},
	}
}

func (p *plan) addStart(name string) {
	p.start.add(name)
	p.lists.record(startList, name)
}

func (p *plan) addRestart(name string) {
	p.restart.add(name)
	p.lists.record(restartList, name)
}

func (p *plan) addReload(name string) {
	p.reload.add(name)
	p.lists.record(reloadList, name)
}

func (p *plan) dropReload(name string) {
	if p.reload.has(name) {
		delete(p.reload, name)
		p.lists.unrecord(reloadList, name)
	}
}

// dry prints what would be done to units before and after the activation.
func (p *plan) dryBefore(c console) error {
	if err := c.list("would stop the following units", p.stop.without(p.hidden)); err != nil {
		return err
	}
	return c.list("would NOT stop the following changed units", p.skip)
}

func (p *plan) dryAfter(c console) error {
	if err := c.list("would reload the following units", p.reload); err != nil {
		return err
	}
	if err := c.list("would restart the following units", p.restart); err != nil {
		return err
	}
	return c.list("would start the following units", p.start.without(p.hidden))
}

// suspends tells whether the target may be active although it should not be: after a resume.
func suspends(target string) bool {
	return slices.Contains([]string{"suspend.target", "hibernate.target", "hybrid-sleep.target"}, target)
}
