package query_test

import (
	"errors"
	"net/url"
	"testing"

	"kedge/controller/internal/query"
	"kedge/proto"
	"kedge/proto/bus"
)

// A query is decoded, or the caller is told what is wrong with it.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "after=1&wait=30s&limit=10", "host=web1", "host=../web1", "host=web1&host=web2", "wait=-1s", "after=-1", "limit=99999999999999999999", "?=&="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		for _, request := range []any{&proto.FleetRequest{}, &proto.HostRequest{}, &proto.EventsRequest{}, &proto.AuditRequest{}, &proto.RolloutShowRequest{}} {
			err := query.Decode(values, request)
			said, known := errors.AsType[*bus.APIError](err)
			if err != nil && (!known || said.Code != bus.CodeBadRequest) {
				t.Errorf("query %q into %T: error %v", text, request, err)
			}
		}
	})
}
