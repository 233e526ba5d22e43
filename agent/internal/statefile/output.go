package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kedge/agent/internal/deployment"
	"kedge/internal/durable"
	"kedge/proto"
)

// outputDir has a file for each output, in the runtime directory.
const outputDir = "outputs"

// What is kept of outputs. The oldest ones go first.
const (
	// MaxOutput is how many bytes of text one has at most: the last ones.
	MaxOutput = 64 << 10
	// maxOutputBytes and maxOutputs are how many bytes all files have together, unless the
	// newest alone has more, and how many files there are.
	maxOutputBytes = 256 << 10
	maxOutputs     = 32
)

// An Output is what one run of switch-to-configuration said, until the controller has
// it. It is a file in the runtime directory: the transaction adds it, the agent takes it.
type Output struct {
	Deployment string          `json:"deployment"`
	Toplevel   proto.StorePath `json:"toplevel"`
	Phase      proto.Phase     `json:"phase"`
	Mode       proto.Mode      `json:"mode"`
	Time       time.Time       `json:"time"` // when the run ended; tells it from others
	Text       string          `json:"text"`
	Cut        bool            `json:"cut,omitempty"` // more was said, before Text
}

// NewOutput returns what a run of toplevel's switch-to-configuration for d said that has
// just ended: its last lines, or the end of the very last one.
func NewOutput(d deployment.Deployment, toplevel proto.StorePath, mode proto.Mode, lines []string, now time.Time) Output {
	text := strings.ToValidUTF8(strings.Join(lines, "\n"), "\uFFFD")
	o := Output{Deployment: d.ID, Toplevel: toplevel, Phase: d.Phase, Mode: mode, Time: now.UTC(), Text: text}
	if from := len(text) - MaxOutput; from > 0 {
		for !utf8.RuneStart(text[from]) {
			from++
		}
		o.Text, o.Cut = text[from:], true
		if _, whole, more := strings.Cut(o.Text, "\n"); more {
			o.Text = whole
		}
	}
	return o
}

// KeepOutput adds o. What would be too much is forgotten, the oldest first.
func (d Dir) KeepOutput(o Output) error {
	dir := filepath.Join(d.Runtime, outputDir)
	if err := durable.MkdirAll(dir, privatePerm); err != nil {
		return err
	}
	if err := d.output(o).Write(o); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	var size int64
	for i, f := range slices.Backward(files) {
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was taken
		}
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
		size += info.Size()
		if newest := i == len(files)-1; !newest && (size > maxOutputBytes || len(files)-i > maxOutputs) {
			if err := durable.Remove(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Outputs returns those that are kept, the oldest first. What cannot be read is none,
// and is forgotten as what is oldest.
func (d Dir) Outputs() ([]Output, error) {
	files, err := os.ReadDir(filepath.Join(d.Runtime, outputDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("state: %w", err)
	}
	var outputs []Output
	for _, f := range files {
		doc := durable.Document[Output]{Path: filepath.Join(d.Runtime, outputDir, f.Name()), Format: format1}
		if o, err := doc.Read(); err == nil && d.output(o).Path == doc.Path { // and not what a crash left of one
			outputs = append(outputs, o)
		}
	}
	return outputs, nil
}

// TakeOutput forgets o. It is no error if that was done.
func (d Dir) TakeOutput(o Output) error { return d.output(o).Remove() }

// output is the document of o. The name of an older one sorts before that of a newer one.
func (d Dir) output(o Output) durable.Document[Output] {
	return durable.Document[Output]{Path: filepath.Join(d.Runtime, outputDir, fmt.Sprintf("%020d.json", o.Time.UnixNano())), Format: format1}
}
