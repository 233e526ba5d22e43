package proto

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxLogs is how many messages of logs are kept of one host.
const MaxLogs = 64

// logRoom is how many bytes of a [Log] its text may have, in JSON: the rest is for
// everything else in it.
const logRoom = MaxLog - 2<<10

// A Log is what one run of switch-to-configuration said in a deployment, or a part
// of that. Logs are kept, in order, and may arrive twice: Time and Part tell.
type Log struct {
	Format     int       `json:"format"`
	Host       HostName  `json:"host"`
	Deployment string    `json:"deployment"`
	Toplevel   StorePath `json:"toplevel"` // whose program it was
	Phase      Phase     `json:"phase"`    // of the deployment then: on the way back it is rolling-back
	Mode       Mode      `json:"mode"`     // what the program was told: test, boot or dry-activate
	Time       time.Time `json:"time"`     // the host's clock, when the run ended
	Part       int       `json:"part"`     // from 1
	Parts      int       `json:"parts"`    // of which Part is one, at most MaxLogs
	Text       string    `json:"text,omitempty"`
	Cut        bool      `json:"cut,omitempty"` // more was said, before all of the text
}

// Split returns l as parts that each fit into a message, in order; at least one.
// What is no UTF-8 in the text is replaced.
func (l Log) Split() []Log {
	var parts []Log
	for rest := l.Text; len(parts) == 0 || rest != ""; {
		n := fitting(rest, logRoom)
		part := l
		part.Text, rest = rest[:n], rest[n:]
		parts = append(parts, part)
	}
	for i := range parts {
		parts[i].Part, parts[i].Parts = i+1, len(parts)
	}
	return parts
}

// fitting returns how many bytes of s, from its beginning, have at most room bytes
// in JSON. It is the end of a rune.
func fitting(s string, room int) int {
	for i := 0; i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		if room -= jsonSize(s[i : i+size]); room < 0 {
			return i
		}
		i += size
	}
	return len(s)
}

// jsonSize returns how many bytes one rune has in JSON.
func jsonSize(r string) int {
	if c := r[0]; c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
		return 1
	}
	b, err := json.Marshal(r)
	if err != nil {
		return len(r) // no text fails
	}
	return len(b) - len(`""`)
}

// Encode returns l as JSON. What [Log.Split] returned fits.
func (l Log) Encode() ([]byte, error) {
	l.Format = Format1
	b, err := encode("log", l)
	if err == nil {
		err = checkSize("log", b, MaxLog)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// ParseLog parses b. Errors wrap [ErrOversized], [ErrUnknownFormat] or
// [ErrMalformed].
func ParseLog(b []byte) (Log, error) {
	var l Log
	if err := decode("log", b, MaxLog, &l); err != nil {
		return Log{}, err
	}
	if l.Host.IsZero() || l.Deployment == "" || l.Toplevel.IsZero() || l.Mode == "" {
		return Log{}, fmt.Errorf("log: %w: host, deployment, toplevel and mode are required", ErrMalformed)
	}
	if l.Part < 1 || l.Part > l.Parts || l.Parts > MaxLogs {
		return Log{}, fmt.Errorf("log: %w: part %d of %d", ErrMalformed, l.Part, l.Parts)
	}
	return l, nil
}

// A HostLogRequest asks for what the activations of a deployment said.
type HostLogRequest struct {
	Host       HostName `json:"host"`
	Deployment string   `json:"deployment,omitempty"` // empty for the newest that has a log
}

// A HostLogReply is that, as far as the host sent it and it is kept.
type HostLogReply struct {
	Host       HostName     `json:"host"`
	Deployment string       `json:"deployment"`
	Runs       []HostLogRun `json:"runs"` // in the order in which they were sent
}

// A HostLogRun is one run of switch-to-configuration; see [Log].
type HostLogRun struct {
	Toplevel StorePath `json:"toplevel"`
	Phase    Phase     `json:"phase"`
	Mode     Mode      `json:"mode"`
	Time     time.Time `json:"time"`
	Text     string    `json:"text,omitempty"`
	Cut      bool      `json:"cut,omitempty"` // some of what was said is not in the text
}
