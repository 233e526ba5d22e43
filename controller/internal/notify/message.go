package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Format is how a message is written.
type Format string

// The formats.
const (
	JSON  Format = "json"  // a [Message], signed if there is a secret
	Slack Format = "slack" // as Slack takes it, and Mattermost, Rocket.Chat, and Discord at /slack
	Ntfy  Format = "ntfy"  // as ntfy takes it: text, with a title and a priority
)

// Formats returns every format.
func Formats() []Format { return []Format{JSON, Slack, Ntfy} }

// Bounds of a message.
const (
	maxNotices = 100
	maxLines   = 20
	maxLine    = 300  // characters
	maxText    = 1500 // bytes; one line has room: Discord refuses 2000 characters, ntfy 4096 bytes
	maxMessage = 2000
)

// A Message is what a destination is told at a time.
type Message struct {
	Format     int       `json:"format"` // 1
	Controller string    `json:"controller"`
	Time       time.Time `json:"time"`
	Notices    []Notice  `json:"notices"`
	More       int       `json:"more,omitempty"` // how many others were left out
}

// newMessage returns a message of what is new, which is not empty.
func newMessage(controller string, now time.Time, news []Notice) Message {
	m := Message{Format: 1, Controller: controller, Time: now.UTC()}
	for _, n := range news[:min(len(news), maxNotices)] {
		n.Message = strings.ToValidUTF8(n.Message[:min(len(n.Message), maxMessage)], "")
		m.Notices = append(m.Notices, n)
	}
	m.More = len(news) - len(m.Notices)
	return m
}

// TestMessage returns a message that a person tries a destination with.
func TestMessage(controller string, now time.Time) Message {
	return newMessage(controller, now, []Notice{{Key: string(Test), Event: Test}})
}

// title says in a few words what m is about. Nothing in it is a host's own words.
func (m Message) title() string {
	if n := len(m.Notices) + m.More; n > 1 {
		return fmt.Sprintf("Kedge on %s: %s and %d more", m.Controller, m.Notices[0].Event, n-1)
	}
	return fmt.Sprintf("Kedge on %s: %s", m.Controller, m.Notices[0].Event)
}

// text says all of m, a line for each notice, as far as there is room for what escape
// makes of them.
func (m Message) text(escape *strings.Replacer) string {
	var lines []string
	room := maxText
	for _, n := range m.Notices[:min(len(m.Notices), maxLines)] {
		line := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(n.Line(), "?")), " "))
		if len(line) > maxLine {
			line = append(line[:maxLine-1], '…')
		}
		escaped := escape.Replace(string(line))
		if room -= len(escaped); room < 0 {
			break
		}
		lines = append(lines, escaped)
	}
	if more := len(m.Notices) + m.More - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: kedge status", more))
	}
	return strings.Join(lines, "\n")
}

// forChats escapes what a chat would not take as text. Whoever is root on a host chooses
// words in it: they shall not call a channel, with <!channel> in Slack and with @channel
// or @everyone in the others, nor show a link that leads elsewhere than it says, as
// Markdown's do; what keeps them from it is not seen.
func forChats() *strings.Replacer {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b", "](", "]\u200b(")
}

// grave reports whether somebody should be woken up.
func (m Message) grave() bool {
	for _, n := range m.Notices {
		if n.Event == RollbackFailed || n.Event == SecondMachine {
			return true
		}
	}
	return false
}

// write returns the body of m, and headers that belong to it.
func (m Message) write(f Format) ([]byte, http.Header, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	switch f {
	case JSON:
		b, err := json.Marshal(m)
		return b, header, err
	case Slack:
		b, err := json.Marshal(map[string]string{"text": "*" + m.title() + "*\n" + m.text(forChats())})
		return b, header, err
	case Ntfy:
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("Title", m.title())
		if m.grave() {
			header.Set("Priority", "5")
		}
		return []byte(m.text(strings.NewReplacer())), header, nil
	}
	return nil, nil, fmt.Errorf("format %q is not known", f)
}
