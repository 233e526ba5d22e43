package web

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kedge/proto/bus"
)

// Where the pages are.
const (
	signInPath  = "/sign-in"
	signOutPath = "/sign-out"
)

//go:embed static
var static embed.FS

// Options are what a [Handler] is made of. All are required.
type Options struct {
	// API answers the calls of the operator API, to the bearers of tokens; see package
	// httpapi.
	API http.Handler
	Now func() time.Time
	Log *slog.Logger
}

// A Handler serves the pages. Make one with [New]. Safe for concurrent use.
type Handler struct {
	api      caller
	now      func() time.Time
	log      *slog.Logger
	sessions *sessions
	last     snapshot
	pages    map[string]*template.Template // by name
	mux      http.Handler
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler of the pages.
func New(o Options) *Handler {
	h := &Handler{api: caller{o.API}, now: o.Now, log: o.Log, sessions: newSessions(), pages: parse(o.Now)}
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", h.page("fleet", h.fleet))
	m.HandleFunc("GET /hosts/{host}", h.page("host", h.host))
	m.HandleFunc("GET /rollouts", h.page("rollouts", h.rollouts))
	m.HandleFunc("GET /rollouts/{rollout}", h.page("rollout", h.rollout))
	m.HandleFunc("GET /builds/{channel}", h.page("build", h.build))
	m.HandleFunc("GET "+signInPath, h.askToken)
	m.HandleFunc("POST "+signInPath, h.signIn)
	m.HandleFunc("POST "+signOutPath, h.signOut)
	m.HandleFunc("GET /static/{file}", serveStatic)
	h.mux = http.NewCrossOriginProtection().Handler(m)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		// Nothing from elsewhere, nothing in the page itself that runs, and no frame around it.
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "no-referrer",
		"Cache-Control":           "no-store",
	} {
		w.Header().Set(name, value)
	}
	h.mux.ServeHTTP(w, r)
}

// serveStatic serves what changes with the controller's version alone.
func serveStatic(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "private, max-age=3600")
	http.ServeFileFS(w, r, static, "static/"+r.PathValue("file"))
}

// page returns the handler of a page that shows what f returns, to who has signed in.
func (h *Handler) page(name string, f func(*http.Request, session) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, known := h.sessions.of(r, h.now())
		if !known {
			h.sendToSignIn(w, r)
			return
		}
		data, err := f(r, s)
		if refusal, ok := errors.AsType[*bus.APIError](err); ok && refusal.Code == codeUnauthorized {
			h.sessions.end(s) // the token was revoked, or has run out
			h.sendToSignIn(w, r)
			return
		}
		if err != nil {
			h.fail(w, r, err)
			return
		}
		h.show(w, r, http.StatusOK, name, data)
	}
}

// sendToSignIn has a browser show the page where one signs in, and come back afterwards.
func (h *Handler) sendToSignIn(w http.ResponseWriter, r *http.Request) {
	to := signInPath
	if here := r.URL.RequestURI(); here != "/" {
		to += "?" + url.Values{"to": {here}}.Encode()
	}
	if r.Header.Get("HX-Request") != "" { // htmx would put the page in the place of a part
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// fail shows why a page cannot be shown.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if refusal, ok := errors.AsType[*refusedError](err); ok {
		status = refusal.status
	}
	if status == http.StatusInternalServerError {
		h.log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "err", err)
	}
	h.show(w, r, status, "error", err.Error())
}

// show writes a page whole, or not at all.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var page bytes.Buffer
	if err := h.pages[name].ExecuteTemplate(&page, "layout.html", data); err != nil {
		h.log.ErrorContext(r.Context(), "page failed", "page", name, "err", err)
		http.Error(w, "this page cannot be shown; the controller's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the client may be gone
}

// local returns where to go within these pages, whatever somebody wrote into a link.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(to, "//") || strings.Contains(to, `\`) {
		return "/"
	}
	return u.RequestURI()
}
