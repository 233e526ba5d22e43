package natsd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kedge/proto"
)

// A right is what users of a kind may do with a subject.
type right struct{ host, viewer, operator, admin string }

// What a right is made of.
const (
	no  = ""
	pub = "publish"
	sub = "subscribe"
)

// A row is a function or a constant of package proto that names subjects, and what
// host web1, a viewer, an operator and an admin may do with them.
type row struct {
	subject string
	right
}

// matrix says who may do what. Whatever names a subject in package proto has a row.
func matrix(t *testing.T) map[string][]row {
	t.Helper()
	web1, web2 := hostName(t, "web1"), hostName(t, "web2")
	own := func(f func(proto.HostName) string, what string) []row {
		return []row{{f(web1), right{host: what}}, {f(web2), right{}}}
	}
	nobody := func(subjects ...string) (rows []row) {
		for _, s := range subjects {
			rows = append(rows, row{subject: s})
		}
		return rows
	}
	m := map[string][]row{
		"GetDesiredSubject": own(proto.GetDesiredSubject, pub),
		"StatusSubject":     own(proto.StatusSubject, pub),
		"EventSubject":      own(proto.EventSubject, pub),
		"LogSubject":        own(proto.LogSubject, pub),
		"HeartbeatSubject":  own(proto.HeartbeatSubject, pub),
		"LeaseSubject":      own(proto.LeaseSubject, pub),
		"RenewSubject":      own(proto.RenewSubject, pub),
		"DoorbellSubject":   own(proto.DoorbellSubject, sub),
		"DesiredKeySubject": nobody(proto.DesiredKeySubject(web1), proto.DesiredKeySubject(web2)),
		"ControlKeySubject": nobody(proto.ControlKeySubject(proto.KeyLeases), proto.ControlKeySubject("leader")),

		"AllDesiredKeys":   nobody(proto.AllDesiredKeys),
		"AllDoorbells":     nobody(proto.AllDoorbells),
		"AllGetDesired":    nobody(proto.AllGetDesired),
		"AllStatus":        nobody(proto.AllStatus),
		"AllEvents":        nobody(proto.AllEvents),
		"AllLogs":          nobody(proto.AllLogs),
		"AllHeartbeats":    nobody(proto.AllHeartbeats),
		"AllLeases":        nobody(proto.AllLeases),
		"AllRenewals":      nobody(proto.AllRenewals),
		"AllAudit":         nobody(proto.AllAudit),
		"AllAPI":           nobody(proto.AllAPI),
		"DirectGetDesired": nobody(proto.DirectGetDesired),
		"AuditSubject":     nobody(proto.AuditSubject),
		"InboxRoot":        nobody(proto.InboxRoot+">", proto.InboxRoot+"*.>"),
	}
	for _, e := range proto.Endpoints() {
		r := right{admin: pub}
		if e.Role() != proto.RoleAdmin {
			r.operator = pub
		}
		if e.Role() == proto.RoleViewer {
			r.viewer = pub
		}
		m["Subject"] = append(m["Subject"], row{e.Subject(), r})
	}
	for name, stream := range map[string]string{
		"StreamStatus": proto.StreamStatus, "StreamEvents": proto.StreamEvents, "StreamLogs": proto.StreamLogs,
		"StreamAudit": proto.StreamAudit, "StreamDesired": proto.StreamDesired, "StreamControl": proto.StreamControl,
	} {
		for _, call := range []string{
			"INFO.", "CREATE.", "UPDATE.", "DELETE.", "PURGE.", "SNAPSHOT.", "MSG.GET.", "MSG.DELETE.",
		} {
			m[name] = append(m[name], row{subject: "$JS.API.STREAM." + call + stream})
		}
		m[name] = append(m[name],
			row{subject: "$JS.API.CONSUMER.CREATE." + stream}, row{subject: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + proto.ConsumerEvents},
			row{subject: "$JS.API.DIRECT.GET." + stream}, row{subject: "$JS.ACK." + stream + ".>"})
	}
	m["other"] = nobody("$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.ACCOUNT.PURGE.X", "$SYS.REQ.SERVER.PING",
		"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.ACCOUNT.X.CLAIMS.UPDATE", "$SRV.PING", "$SRV.INFO."+proto.ServiceName, "anything", "kedge.v1.anything", "kedge.v2.status.web1")
	return m
}

// TestWhoMayDoWhat tries every row of the matrix with the real server.
func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld(t)
	w.fleet(t)
	rows := matrix(t)
	file, id := w.hostFile(t, "web1")
	users := map[string]struct {
		rebel *rebel
		may   func(right) string
	}{"host": {w.rebel(t, file, id), func(r right) string { return r.host }}}
	for role, may := range map[proto.Role]func(right) string{
		proto.RoleViewer:   func(r right) string { return r.viewer },
		proto.RoleOperator: func(r right) string { return r.operator },
		proto.RoleAdmin:    func(r right) string { return r.admin },
	} {
		file := w.operatorFile(t, role, string(role))
		users[string(role)] = struct {
			rebel *rebel
			may   func(right) string
		}{w.rebel(t, file, identityIn(t, file)), may}
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		u := users[name]
		t.Run(name, func(t *testing.T) {
			for _, row := range slices.Concat(slices.Collect(maps.Values(rows))...) {
				may := u.may(row.right)
				if got := u.rebel.mayPublish(t, row.subject); got != strings.Contains(may, pub) {
					t.Errorf("publish on %s: got %t", row.subject, got)
				}
				if got := u.rebel.maySubscribe(t, row.subject); got != strings.Contains(may, sub) {
					t.Errorf("subscribe to %s: got %t", row.subject, got)
				}
			}
		})
	}
}

// mayPublish reports whether the server takes what is published on subject.
func (r *rebel) mayPublish(t *testing.T, subject string) bool {
	t.Helper()
	if err := r.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	return len(r.complaints(t)) == 0
}

// maySubscribe reports whether the server takes a subscription to subject.
func (r *rebel) maySubscribe(t *testing.T, subject string) bool {
	t.Helper()
	s, err := r.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Unsubscribe() }() // the connection may be gone
	return len(r.complaints(t)) == 0
}

// TestEverySubjectHasARow: what names a subject in package proto is in the matrix.
func TestEverySubjectHasARow(t *testing.T) {
	rows := matrix(t)
	for _, name := range subjectNames(t) {
		if len(rows[name]) == 0 {
			t.Errorf("proto.%s names a subject, and the matrix does not say who may use it", name)
		}
	}
}

// subjectNames returns the functions called …Subject, and the constants that are
// patterns or subjects, of package proto.
func subjectNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("../../../proto/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.IsExported() && strings.HasSuffix(n.Name.Name, "Subject") && n.Name.Name != "HostOfSubject" {
					names = append(names, n.Name.Name)
				}
				return false
			case *ast.ValueSpec:
				for _, name := range n.Names {
					s := name.Name
					if strings.HasPrefix(s, "All") || strings.HasPrefix(s, "Stream") || strings.HasSuffix(s, "Subject") || strings.HasPrefix(s, "DirectGet") || s == "InboxRoot" {
						names = append(names, s)
					}
				}
			}
			return true
		})
	}
	if len(names) < 20 {
		t.Fatalf("only %v were found", names)
	}
	return names
}
