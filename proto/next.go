//go:build next

package proto

import (
	"bytes"
	"encoding/json"
	"slices"
)

// With the build tag next the programs write what a later version may write
// within today's formats: members, reasons, types of conditions and steps that
// today's version has never heard of. The scenarios have one built with it and
// one built without replace each other, so that each reads what the other wrote.

// ReasonUnheardOf is a reason that only a later version gives.
const ReasonUnheardOf Reason = "unheard-of"

// conditionUnheardOf is a condition that only a later version reports.
const conditionUnheardOf ConditionType = "UnheardOf"

// MarshalNext returns v as a later version would write it: with one more member
// in every object.
func MarshalNext(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var document any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&document); err != nil {
		return nil, err
	}
	addMembers(document)
	return json.Marshal(document)
}

// addMembers adds a member to v's objects.
func addMembers(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, w := range v {
			addMembers(w)
		}
		v["from_next"] = map[string]any{"unheard_of": []any{true, 1, "x"}}
	case []any:
		for _, w := range v {
			addMembers(w)
		}
	}
}

// MarshalJSON implements [json.Marshaler].
func (f Floor) MarshalJSON() ([]byte, error) {
	type plain Floor
	return MarshalNext(plain(f))
}

// MarshalJSON implements [json.Marshaler].
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	return MarshalNext(plain(e))
}

// MarshalJSON implements [json.Marshaler].
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.Conditions = append(slices.Clip(s.Conditions), Condition{Type: conditionUnheardOf, Status: StatusTrue, Reason: ReasonUnheardOf})
	return MarshalNext(plain(s))
}
