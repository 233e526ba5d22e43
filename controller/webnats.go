package controller

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strings"
)

// natsPath is where hosts and operators reach NATS by WebSocket.
const natsPath = "/nats"

// natsProxy passes WebSockets on to the NATS server at address, which is on this
// machine, and has visitors know whose each is. Once they are one, NATS bounds how long it takes to authenticate.
func natsProxy(address string, v *visitors, log *slog.Logger) http.Handler {
	dialer := &net.Dialer{Timeout: headerTimeout}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: address})
			r.Out.URL.Path, r.Out.URL.RawPath, r.Out.URL.RawQuery = "/", "", ""
			r.Out.Header.Del("Cookie")
			r.SetXForwarded() // NATS logs where a client is
			r.Out = r.Out.WithContext(httptrace.WithClientTrace(r.Out.Context(), &httptrace.ClientTrace{
				GotConn: func(got httptrace.GotConnInfo) {
					if p, ok := got.Conn.(*passage); ok {
						p.let(addressOf(r.In))
					}
				},
			}))
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return &passage{Conn: conn, visitors: v}, nil
			},
			DisableKeepAlives:     true, // each is of one visitor
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

// addressOf returns where r comes from, without the port.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
