package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"kedge/controller/internal/notify"
	"kedge/internal/setup"
	"kedge/proto"
)

// notifiedFile has what destinations were told.
const notifiedFile = "notified.json"

// A NotificationConfig is a destination of notifications; see docs/notifications.md.
type NotificationConfig struct {
	// URL, or URLFile where the URL is a secret, is where messages are sent by POST.
	URL     string        `config:"url"`
	URLFile string        `config:"url_file"`
	Format  notify.Format `config:"format"`
	// SecretFile has the key that messages are signed with; for the format json.
	SecretFile string `config:"secret_file"`
	// TokenFile has a bearer's token that goes with messages.
	TokenFile string `config:"token_file"`
	// Events are what is told; empty for all.
	Events []notify.Event `config:"events"`
}

var _ setup.Defaulter = (*NotificationConfig)(nil)

// SetDefaults implements [setup.Defaulter].
func (c *NotificationConfig) SetDefaults() { c.Format = notify.JSON }

// notificationProblems are those of the destinations.
func (c Config) notificationProblems() (problems []error) {
	for _, name := range slices.Sorted(maps.Keys(c.Notifications)) {
		key := "notifications." + name
		if _, err := proto.ParseHostName(name); err != nil { // the same kind of label
			problems = append(problems, fmt.Errorf("%s: must be named with 1 to 63 of a-z, 0-9 and hyphens", key))
		}
		problems = append(problems, c.Notifications[name].problems(key)...)
	}
	return problems
}

// problems are what is wrong with c, whose key is key.
func (c NotificationConfig) problems(key string) (problems []error) {
	if (c.URL == "") == (c.URLFile == "") {
		problems = append(problems, fmt.Errorf("%s.url: must be set, or else %s.url_file", key, key))
	} else if c.URL != "" {
		if err := notify.CheckURL(c.URL); err != nil {
			problems = append(problems, fmt.Errorf("%s.url: %w", key, err))
		}
	}
	for name, file := range map[string]string{"url_file": c.URLFile, "secret_file": c.SecretFile, "token_file": c.TokenFile} {
		if file != "" {
			problems = append(problems, absolute(key+"."+name, file))
		}
	}
	if !slices.Contains(notify.Formats(), c.Format) {
		problems = append(problems, fmt.Errorf("%s.format: must be one of %s, got %q", key, joinedWords(notify.Formats()), c.Format))
	}
	if c.SecretFile != "" && c.Format != notify.JSON {
		problems = append(problems, fmt.Errorf("%s.secret_file: must be empty for the format %s, which has no signature", key, c.Format))
	}
	for i, e := range c.Events {
		if !slices.Contains(notify.Events(), e) {
			problems = append(problems, fmt.Errorf("%s.events[%d]: must be one of %s, got %q", key, i, joinedWords(notify.Events()), e))
		}
	}
	return problems
}

func joinedWords[T ~string](words []T) string {
	var all []string
	for _, w := range words {
		all = append(all, string(w))
	}
	return strings.Join(all, ", ")
}

// destinations returns where notifications go, sorted by name.
func (c Config) destinations() (all []notify.Destination) {
	for _, name := range slices.Sorted(maps.Keys(c.Notifications)) {
		n := c.Notifications[name]
		all = append(all, notify.Destination{
			Name: name, URL: n.URL, URLFile: n.URLFile, Format: n.Format, SecretFile: n.SecretFile, TokenFile: n.TokenFile, Events: n.Events,
		})
	}
	return all
}

// NotifyTest sends a test to each of the destinations that names has, or to all if it has
// none, and says in out where it was sent to. The error is about those that it could not
// be sent to.
func NotifyTest(ctx context.Context, c Config, now time.Time, out io.Writer, names ...string) error {
	var problems []error
	for _, name := range names {
		if _, known := c.Notifications[name]; !known {
			problems = append(problems, fmt.Errorf("there is no destination %q in notifications", name))
		}
	}
	if len(c.Notifications) == 0 {
		problems = append(problems, errors.New("there are no destinations (notifications)"))
	}
	client := notify.NewClient()
	for _, d := range c.destinations() {
		if len(names) > 0 && !slices.Contains(names, d.Name) {
			continue
		}
		if err := d.Send(ctx, client, notify.TestMessage(keyName(), now)); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", d.Name, err))
		} else if _, err := fmt.Fprintf(out, "%s: sent\n", d.Name); err != nil {
			return err
		}
	}
	return errors.Join(problems...)
}

// wireNotifications makes what tells people, if somebody is to be told.
func (c *Controller) wireNotifications() error {
	c.notifications = func(context.Context) error { return nil }
	if len(c.o.Config.Notifications) == 0 {
		return nil
	}
	client := notify.NewClient()
	n, err := notify.New(notify.Options{
		Destinations: c.o.Config.destinations(), Fleet: c.fleet, Controller: keyName(), File: c.path(notifiedFile), Shared: c.shared,
		Send:     func(ctx context.Context, d notify.Destination, m notify.Message) error { return d.Send(ctx, client, m) },
		Registry: c.o.Registry, Now: c.o.Now, Log: c.log,
	})
	if err != nil {
		return err
	}
	c.notifications = n.Run
	return nil
}
