package web

import (
	"errors"
	"net/http"
	"strings"

	"kedge/proto"
	"kedge/proto/bus"
)

// signInPage is what the page shows where one signs in.
type signInPage struct {
	To    string // where to go then
	Error string
}

func (h *Handler) askToken(w http.ResponseWriter, r *http.Request) {
	h.show(w, r, http.StatusOK, "signin", signInPage{To: local(r.URL.Query().Get("to"))})
}

// signIn begins a session for the bearer of a token that counts. The API says whether it
// does, and how often one client may try.
func (h *Handler) signIn(w http.ResponseWriter, r *http.Request) {
	page := signInPage{To: local(r.FormValue("to"))}
	token, err := proto.ParseOperatorToken(strings.TrimSpace(r.PostFormValue("token")))
	if err == nil {
		_, err = call[proto.FleetReply](h.api, r, token, proto.EndpointFleet, "limit", "1")
	}
	if err != nil {
		page.Error = err.Error()
		status := http.StatusUnauthorized
		if refusal, ok := errors.AsType[*refusedError](err); ok {
			status = refusal.status
		}
		h.show(w, r, status, "signin", page)
		return
	}
	if old, known := h.sessions.of(r, h.now()); known {
		h.sessions.end(old) // no browser names it any more
	}
	http.SetCookie(w, cookie(h.sessions.begin(token, h.now())))
	http.Redirect(w, r, page.To, http.StatusSeeOther)
}

// signOut ends the session, in the browser and here.
func (h *Handler) signOut(w http.ResponseWriter, r *http.Request) {
	if s, known := h.sessions.of(r, h.now()); known {
		h.sessions.end(s)
	}
	http.SetCookie(w, cookie(session{}))
	http.Redirect(w, r, signInPath, http.StatusSeeOther)
}

// codeUnauthorized is the API's code for a token that does not count any more.
const codeUnauthorized bus.Code = "unauthorized"
