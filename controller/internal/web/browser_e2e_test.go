//go:build e2e

package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"kedge/controller/controllertest"
	"kedge/e2e/rootfs"
	"kedge/proto"
	"kedge/proto/bus"
)

// TestBrowser: a real browser signs in at a real controller, sees the fleet and that it changes, and is out when
// its token is revoked.
func TestBrowser(t *testing.T) {
	if err := rootfs.EnsureBrowser(t.Context(), func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	var world controllertest.World
	host := hostNamed(t, "web1").Host
	toplevel, err := controllertest.Toplevel("web1")
	if err != nil {
		t.Fatal(err)
	}
	world.Push(controllertest.Flake{Toplevels: map[proto.HostName]proto.StorePath{host: toplevel}})
	c, err := controllertest.Start(t.Context(), t.TempDir(), &world, t.Output(), controllertest.WithTLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin := adminOf(t, c)
	token := proto.NewOperatorToken()
	if _, err := bus.Call[proto.OperatorTokenRequest, proto.OperatorTokenReply](t.Context(), admin, proto.EndpointOperatorToken,
		proto.OperatorTokenRequest{Name: "ann", Role: proto.RoleViewer, Hash: token.Hash(), For: time.Hour}); err != nil {
		t.Fatal(err)
	}

	ctx := openBrowser(t)
	site := "https://" + c.HTTPAddress()
	see := func(what string, actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, shown(ctx))
		}
	}
	see("the page to sign in, in the place of another", chromedp.Navigate(site+"/rollouts"), chromedp.WaitVisible("#token"))
	see("a token that does not count", chromedp.SendKeys("#token", proto.NewOperatorToken().Reveal()), chromedp.Submit("#token"), chromedp.WaitVisible(`[role="alert"]`))
	see("the page that was asked for", chromedp.SendKeys("#token", token.Reveal()), chromedp.Submit("#token"), chromedp.WaitVisible(`//h1[text()="Rollouts"]`))
	see("a host without a status", chromedp.Navigate(site+"/"), chromedp.WaitVisible(`//td[text()="never heard of"]`))
	picture(t, ctx, "fleet")

	// The page follows by itself, without being asked for again.
	see("a mark that a page loaded anew would not have", chromedp.Evaluate(`document.body.dataset.same = "yes"`, nil))
	runAgent(t, c, admin, host)
	see("the status", chromedp.WaitVisible(`//span[text()="succeeded"]`), chromedp.WaitReady(`body[data-same="yes"]`))
	see("the host", chromedp.Click(`//a[text()="web1"]`), chromedp.WaitVisible(`//h2[text()="Conditions"]`))
	picture(t, ctx, "host")
	see("the rollout", chromedp.Navigate(site+"/rollouts"), chromedp.Click(`//th/a`), chromedp.WaitVisible(`meter`))
	picture(t, ctx, "rollout")

	var cookies string
	see("what scripts see of the cookie", chromedp.Evaluate(`document.cookie`, &cookies))
	if cookies != "" {
		t.Errorf("scripts see the cookie %q", cookies)
	}
	if _, err := bus.Call[proto.OperatorRevokeRequest, proto.OperatorRevokeReply](t.Context(), admin, proto.EndpointOperatorRevoke, proto.OperatorRevokeRequest{Name: "ann"}); err != nil {
		t.Fatal(err)
	}
	see("the page to sign in, by itself, once the token is revoked", chromedp.WaitVisible("#token"))
}

// browserPatience is how long a browser may take for everything together.
const browserPatience = 2 * time.Minute

// openBrowser opens a browser, which fails the test at its end if anything was refused to it, or went wrong in its
// pages: the policy of the pages' content, above all.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browserPatience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.IgnoreCertErrors, chromedp.WindowSize(1280, 900), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "401") { // as answers that are no pages have
				t.Errorf("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("a script failed: %s", e.ExceptionDetails.Text)
		}
	})
	if err := chromedp.Run(ctx, log.Enable()); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return ctx
}

// shown returns what the browser shows, for a person to see what went wrong.
func shown(ctx context.Context) string {
	var text string
	if err := chromedp.Run(ctx, chromedp.Text("body", &text)); err != nil {
		return fmt.Sprintf("(nothing: %v)", err)
	}
	return text
}

// picture keeps what the browser shows in the folder KEDGE_TEST_PICTURES, if there is one.
func picture(t *testing.T, ctx context.Context, name string) { //nolint:revive // a browser is a context
	t.Helper()
	dir := os.Getenv("KEDGE_TEST_PICTURES")
	if dir == "" {
		return
	}
	var png []byte
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&png, 100)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// adminOf returns a connection of an admin.
func adminOf(t *testing.T, c *controllertest.Running) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(context.WithoutCancel(t.Context()), bus.Options{
		Servers: []string{c.NATSURL()}, Name: "test", Credentials: c.AdminCredentials(), Outbound: c.Outbound(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if err := conn.AwaitConnected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// runAgent has an agent deploy what is published for a host, until the test ends.
func runAgent(t *testing.T, c *controllertest.Running, admin *bus.Conn, host proto.HostName) {
	t.Helper()
	id, err := bus.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	added, err := bus.Call[proto.HostAddRequest, proto.HostAddReply](t.Context(), admin, proto.EndpointHostAdd, proto.HostAddRequest{Host: host, PublicKey: id.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := bus.FormatCredentials(added.JWT, id.Seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "host.creds")
	if err := os.WriteFile(file, credentials, 0o600); err != nil {
		t.Fatal(err)
	}
	agent := controllertest.Agent{Host: host, Server: c.NATSURL(), Outbound: c.Outbound(), Credentials: file, Trust: c.Trust()}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	})
}
