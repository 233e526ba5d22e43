package controller

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// natsPath is where hosts and operators reach NATS by WebSocket.
const natsPath = "/nats"

// natsProxy passes WebSockets on to the NATS server at address, which is on this
// machine. Once they are one, NATS bounds how long it takes to authenticate.
func natsProxy(address string, log *slog.Logger) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: address})
			r.Out.URL.Path, r.Out.URL.RawPath, r.Out.URL.RawQuery = "/", "", ""
			r.Out.Header.Del("Cookie")
			r.SetXForwarded() // NATS shows where a client is
		},
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: headerTimeout}).DialContext,
			DisableKeepAlives:     true,
			ResponseHeaderTimeout: headerTimeout,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			log.DebugContext(r.Context(), "NATS cannot be reached by WebSocket", "err", err)
			http.Error(w, "NATS is not there now", http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			w.Header().Set("Upgrade", "websocket")
			http.Error(w, "this is for NATS by WebSocket: wss://…"+natsPath, http.StatusUpgradeRequired)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}
