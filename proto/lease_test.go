package proto_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kedge/proto"
)

func TestParseLeaseRequest(t *testing.T) {
	longest := strings.Repeat("a", proto.MaxLeaseDeployment)
	for _, c := range []struct {
		name, text string
		err        error
	}{
		{"accepts to acquire", `{"format":1,"action":"acquire","deployment":"7-1"}`, nil},
		{"accepts to release, for whatever it was", `{"format":1,"action":"release"}`, nil},
		{"accepts the longest ID", fmt.Sprintf(`{"format":1,"action":"acquire","deployment":%q}`, longest), nil},
		{"rejects a longer ID", fmt.Sprintf(`{"format":1,"action":"acquire","deployment":%q}`, longest+"a"), proto.ErrMalformed},
		{"rejects another action", `{"format":1,"action":"steal"}`, proto.ErrMalformed},
		{"rejects no action", `{"format":1}`, proto.ErrMalformed},
		{"rejects nothing", ``, proto.ErrMalformed},
		{"rejects another format", `{"format":2,"action":"acquire"}`, proto.ErrUnknownFormat},
		{"rejects what is too long", `{"format":1,"action":"acquire","x":"` + strings.Repeat("x", proto.MaxLease) + `"}`, proto.ErrOversized},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := proto.ParseLeaseRequest([]byte(c.text)); !errors.Is(err, c.err) {
				t.Errorf("parse %s: got %+v, error %v, want %v", c.text, got, err, c.err)
			}
		})
	}
}

func TestALongLeaseReplyIsShortened(t *testing.T) {
	b, err := proto.LeaseReply{Message: strings.Repeat("<", proto.MaxLease)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := proto.ParseLeaseReply(b); err != nil || !strings.HasSuffix(r.Message, "<…") {
		t.Errorf("got %+v, %v", r, err)
	}
}
