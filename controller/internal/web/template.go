package web

import (
	"embed"
	"fmt"
	"html/template"
	"time"

	"kedge/internal/summary"
	"kedge/internal/terminal"
	"kedge/proto"
)

//go:embed templates
var templates embed.FS

// pageNames are the names of the pages.
func pageNames() []string {
	return []string{"fleet", "host", "rollouts", "rollout", "build", "signin", "error"}
}

// parse returns the template of every page. What is in the binary is parsed by the tests.
func parse(now func() time.Time) map[string]*template.Template {
	pages := map[string]*template.Template{}
	for _, name := range pageNames() {
		t := template.New("layout.html").Funcs(words(now))
		pages[name] = template.Must(t.ParseFS(templates, "templates/layout.html", "templates/parts.html", "templates/"+name+".html"))
	}
	return pages
}

// words returns what the templates say things with.
func words(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"clock":   func() string { return now().UTC().Format(time.TimeOnly) },
		"since":   func(t time.Time) string { return terminal.Since(t, now()) },
		"exact":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"dash":    func(v any) string { return terminal.Dash(fmt.Sprint(v)) },
		"line":    func(r proto.RolloutView) string { return summary.Rollout(r, now()) },
		"why":     summary.Why,
		"wave":    summary.Wave,
		"total":   summary.Total,
		"wait":    func(w *proto.RolloutWait) string { return summary.Wait(w, now()) },
		"changes": proto.Changes.String,
		"size":    proto.SizeChange,
		"version": summary.Versions,
		"tone":    tone,
		"mood":    mood,
		"worst":   worst,
	}
}

// tone returns the class of a verdict.
func tone(v proto.Verdict) string {
	switch {
	case v == proto.VerdictNone || v == proto.VerdictSuperseded:
		return "quiet"
	case v == proto.VerdictPending:
		return "busy"
	case v.Bad():
		return "bad"
	}
	return "good"
}

// mood returns the class of a rollout's state.
func mood(s proto.RolloutState) string {
	switch s {
	case proto.RolloutDone:
		return "good"
	case proto.RolloutRunning, proto.RolloutReverting:
		return "busy"
	case proto.RolloutPaused, proto.RolloutHalted:
		return "bad"
	case proto.RolloutReverted, proto.RolloutAborted, proto.RolloutSuperseded:
		return "quiet"
	}
	return "quiet"
}

// worst returns the class of a condition: bad where a person should look.
func worst(c proto.Condition) string {
	good := proto.StatusTrue
	switch c.Type { //nolint:exhaustive // the others are good when they are so
	case proto.ConditionDrifted, proto.ConditionSuspended, proto.ConditionInhibited, proto.ConditionRebootInhibited,
		proto.ConditionStuck, proto.ConditionWithdrawn, proto.ConditionRebootNeeded:
		good = proto.StatusFalse
	}
	switch c.Status {
	case good:
		return "good"
	case proto.StatusTrue, proto.StatusFalse:
		return "bad"
	case proto.StatusUnknown:
		return "quiet"
	}
	return "quiet"
}
