// Command app is the service that revisions of a test fleet change: it answers every HTTP request
// with the text in $APP_TEXT, and tells systemd that it is ready once it listens. Whoever waits for
// that from outside watches the folder /var/lib/app.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// startedFile is written whenever the app begins to listen.
const startedFile = "/var/lib/app/started"

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "address to listen on")
	flag.Parse()
	if err := run(*listen, os.Getenv("APP_TEXT")); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(listen, text string) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	tellWatchers()
	if _, err := daemon.SdNotify(true, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	server := http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, text+"\n") // the client may have gone
		}),
	}
	server.SetKeepAlivesEnabled(false) // every request meets the process that runs now
	return server.Serve(l)
}

// tellWatchers lets whoever watches know that it is worth to ask now. The app serves as well
// where that cannot be written.
func tellWatchers() {
	_ = os.MkdirAll(filepath.Dir(startedFile), 0o755)
	_ = os.WriteFile(startedFile, nil, 0o644)
}
