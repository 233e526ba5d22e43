package web

import (
	"net/http"
	"slices"
	"strconv"

	"kedge/internal/summary"
	"kedge/proto"
)

// fleetPage is what the page of the fleet shows.
type fleetPage struct {
	Rollouts []proto.RolloutView // under way, or without a good end
	Sources  []proto.SourceStatus
	Hosts    []hostRow // those of the view asked for, in pages
	Only     string    // the view: all hosts if empty
	All      int       // how many hosts there are
	Bad      int       // of them, with something to know
	Before   string    // query of the page before; empty for none
	After    string    // of the next
}

// A hostRow is a host, and what a reader of the table should know about it.
type hostRow struct {
	proto.HostView
	Note string
}

// Systems returns what the host says that it runs.
func (r hostRow) Systems() proto.Systems {
	if r.Status == nil {
		return proto.Systems{}
	}
	return r.Status.Systems
}

// Deployment returns the host's current or last one.
func (r hostRow) Deployment() proto.DeploymentStatus {
	if r.Status == nil {
		return proto.DeploymentStatus{}
	}
	return r.Status.Deployment
}

// rowsPerPage is how many hosts a page shows.
const rowsPerPage = 200

// onlyNoted is the view of the hosts that somebody should look at.
const onlyNoted = "noted"

func (h *Handler) fleet(r *http.Request, s session) (any, error) {
	now := h.now()
	page := fleetPage{}
	if r.URL.Query().Get("only") == onlyNoted {
		page.Only = onlyNoted
	}
	fleet, err := h.wholeFleet(r, s)
	if err != nil {
		return nil, err
	}
	page.Rollouts, page.Sources, page.All = underWay(fleet.Rollouts), fleet.Sources, len(fleet.Hosts)
	var rows []hostRow
	for _, v := range fleet.Hosts {
		row := hostRow{v, summary.Host(v, now)}
		if row.Note != "" {
			page.Bad++
		}
		if page.Only != onlyNoted || row.Note != "" {
			rows = append(rows, row)
		}
	}
	page.turn(rows, r.URL.Query().Get("page"))
	return page, nil
}

// turn shows the n-th page of rows, counted from zero; the first if n is no such number.
func (p *fleetPage) turn(rows []hostRow, n string) {
	number, err := strconv.Atoi(n)
	if err != nil || number < 0 || number > (len(rows)-1)/rowsPerPage {
		number = 0
	}
	from := number * rowsPerPage
	p.Hosts = rows[from:min(from+rowsPerPage, len(rows))]
	query := func(n int) string { return "?only=" + p.Only + "&page=" + strconv.Itoa(n) }
	if number > 0 {
		p.Before = query(number - 1)
	}
	if from+rowsPerPage < len(rows) {
		p.After = query(number + 1)
	}
}

// underWay returns the rollouts that have not come to a good end.
func underWay(all []proto.RolloutView) []proto.RolloutView {
	return slices.DeleteFunc(all, func(r proto.RolloutView) bool { return r.State == proto.RolloutDone })
}

// hostPage is what the page of a host shows.
type hostPage struct {
	hostRow
	Events []proto.NumberedEvent // newest first
}

// eventsPerPage is how many events of a host its page shows.
const eventsPerPage = 30

func (h *Handler) host(r *http.Request, s session) (any, error) {
	name := r.PathValue("host")
	reply, err := call[proto.HostReply](h.api, r, s.token, proto.EndpointHost, "host", name)
	if err != nil {
		return nil, err
	}
	events, err := call[proto.EventsReply](h.api, r, s.token, proto.EndpointEvents, "host", name, "limit", strconv.Itoa(eventsPerPage), "last", "true")
	if err != nil {
		return nil, err
	}
	slices.Reverse(events.Events)
	return hostPage{hostRow{reply.Host, summary.Host(reply.Host, h.now())}, events.Events}, nil
}

func (h *Handler) rollouts(r *http.Request, s session) (any, error) {
	return call[proto.RolloutListReply](h.api, r, s.token, proto.EndpointRolloutList)
}

// rolloutPage is what the page of a rollout shows, of its hosts those after one.
type rolloutPage struct {
	proto.RolloutShowReply
	Later bool // it is not the first page of them
}

func (h *Handler) rollout(r *http.Request, s session) (any, error) {
	after := r.URL.Query().Get("after")
	reply, err := call[proto.RolloutShowReply](h.api, r, s.token, proto.EndpointRolloutShow,
		"rollout", r.PathValue("rollout"), "limit", strconv.Itoa(rowsPerPage), "continue", after)
	return rolloutPage{reply, after != ""}, err
}

// buildPage is what the page of a build shows.
type buildPage struct {
	proto.BuildLogReply
	Lines string // the last that there are, of as many pages as the log has
}

// maxLog is how much of a log is shown, in bytes: its end.
const maxLog = 256 << 10

func (h *Handler) build(r *http.Request, s session) (any, error) {
	page := buildPage{}
	revision := r.URL.Query().Get("revision")
	for after := uint64(0); ; after = page.Next {
		reply, err := call[proto.BuildLogReply](h.api, r, s.token, proto.EndpointBuildLog,
			"channel", r.PathValue("channel"), "revision", revision, "after", strconv.FormatUint(after, 10))
		if err != nil {
			return nil, err
		}
		page.BuildLogReply = reply
		page.Lines = last(page.Lines+reply.Text, maxLog)
		revision = reply.Revision.String() // of which the rest is, whatever is built meanwhile
		if reply.Text == "" || reply.Next == after {
			return page, nil
		}
	}
}

// last returns the end of s, of at most n bytes and whole lines.
func last(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	for i := range len(s) {
		if s[i] == '\n' {
			return s[i+1:]
		}
	}
	return s
}
