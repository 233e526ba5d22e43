package hook

import (
	"bytes"
	"encoding/json"
)

// refOf returns the ref that a push is about, as far as the beginning of the body
// says so: every forge names it there. Empty if it does not.
func refOf(head []byte) string {
	d := json.NewDecoder(bytes.NewReader(head))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		if key == "ref" {
			var ref string
			if d.Decode(&ref) != nil {
				return ""
			}
			return ref
		}
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return ""
		}
	}
	return ""
}
