package rollout_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/controller/internal/rollout"
	"kedge/proto"
)

// TestEncodeIsStable compares a rollout in which every field is set with its file: what
// is on the disk of a controller must be read by the next version.
func TestEncodeIsStable(t *testing.T) {
	const path = "testdata/encoded.json"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rollout.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var want, is any
	if err := errors.Join(json.Unmarshal(b, &want), json.Unmarshal(got, &is)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, is); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestParseRefuses(t *testing.T) {
	const (
		head    = `{"format":1,"id":"r","state":"running",`
		path    = `"toplevel":"/nix/store/00000000000000000000000000000000-a"`
		waiting = `"hosts":{"web1":{` + path + `,"state":"waiting"},"web2":{` + path + `,"state":"waiting"}}}`
		started = `"started":"2026-01-01T00:00:00Z"`
		ended   = `"ended":"2026-01-01T00:00:00Z"`
	)
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"no JSON":                         {`rollout`, proto.ErrMalformed},
		"no format":                       {`{}`, proto.ErrUnknownFormat},
		"a newer format":                  {`{"format":2,"id":"r","state":"running"}`, proto.ErrUnknownFormat},
		"no id":                           {`{"format":1,"state":"running"}`, proto.ErrMalformed},
		"an unknown state":                {`{"format":1,"id":"r","state":"flying"}`, proto.ErrMalformed},
		"an unknown reaction":             {head + `"on_broken_budget":"cry"}`, proto.ErrMalformed},
		"silence after less than no time": {head + `"silent_after":-1}`, proto.ErrMalformed},
		"a wave that does not exist":      {head + `"wave":1}`, proto.ErrMalformed},
		"a negative wave":                 {head + `"wave":-1}`, proto.ErrMalformed},
		"a wave with a stranger":          {head + `"waves":[{"name":"a","hosts":["web3"]}],` + waiting, proto.ErrMalformed},
		"a wave without a name":           {head + `"waves":[{"hosts":["web1"]}],` + waiting, proto.ErrMalformed},
		"an unsorted wave":                {head + `"waves":[{"name":"a","hosts":["web2","web1"]}],` + waiting, proto.ErrMalformed},
		"a wave with a host twice":        {head + `"waves":[{"name":"a","hosts":["web1","web1"]}],` + waiting, proto.ErrMalformed},
		"a canary of another wave":        {head + `"waves":[{"name":"a","hosts":["web1"],"canary":["web2"]}],` + waiting, proto.ErrMalformed},
		"a bad amount":                    {head + `"waves":[{"name":"a","hosts":["web1"],"max_in_flight":"-1"}],` + waiting, proto.ErrMalformed},
		"a bad budget":                    {head + `"waves":[{"name":"a","hosts":["web1"],"budget":{"failed":"110%"}}],` + waiting, proto.ErrMalformed},
		"a bad window":                    {head + `"waves":[{"name":"a","hosts":["web1"],"windows":{"allow":["noon"]}}],` + waiting, proto.ErrMalformed},
		"an unknown overrun":              {head + `"waves":[{"name":"a","hosts":["web1"],"windows":{"overrun":"hurry"}}],` + waiting, proto.ErrMalformed},
		"a soak of less than no time":     {head + `"waves":[{"name":"a","hosts":["web1"],"soak":-1}],` + waiting, proto.ErrMalformed},
		"a wave before that has not ended": {
			head + `"wave":1,"waves":[{"name":"a","hosts":["web1"],` + started + `},{"name":"b","hosts":["web2"]}],` + waiting, proto.ErrMalformed,
		},
		"a current wave that has ended": {
			head + `"waves":[{"name":"a","hosts":["web1"],` + started + `,` + ended + `}],` + waiting, proto.ErrMalformed,
		},
		"a wave that started before its turn": {
			head + `"waves":[{"name":"a","hosts":["web1"]},{"name":"b","hosts":["web2"],` + started + `}],` + waiting, proto.ErrMalformed,
		},
		"an own host without a target":      {head + `"own":"hub",` + waiting, proto.ErrMalformed},
		"an own host that goes with others": {head + `"own":"web1","waves":[{"name":"a","hosts":["web1","web2"]}],` + waiting, proto.ErrMalformed},
		"a host in an unknown state":        {head + `"hosts":{"web1":{` + path + `,"state":"lost"}}}`, proto.ErrMalformed},
		"a host with a bad name":            {head + `"hosts":{"web.1":{` + path + `,"state":"waiting"}}}`, proto.ErrMalformed},
		"a host without a toplevel":         {head + `"hosts":{"web1":{"state":"waiting"}}}`, proto.ErrMalformed},
		"a host that waits, with a serial":  {head + `"hosts":{"web1":{` + path + `,"state":"waiting","serial":3}}}`, proto.ErrMalformed},
		"a host published without one":      {head + `"hosts":{"web1":{` + path + `,"state":"published"}}}`, proto.ErrMalformed},
		"a serial that no longer counts":    {head + `"hosts":{"web1":{` + path + `,"state":"published","serial":3,"after":4}}}`, proto.ErrMalformed},
		"a host settled without verdict":    {head + `"hosts":{"web1":{` + path + `,"state":"settled","serial":3}}}`, proto.ErrMalformed},
		"a verdict before it settled":       {head + `"hosts":{"web1":{` + path + `,"state":"published","serial":3,"verdict":"failed"}}}`, proto.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := rollout.Parse([]byte(c.text)); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
		})
	}
}
