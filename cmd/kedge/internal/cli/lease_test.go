package cli

import (
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

func TestLeasesAreShownWithWhatIsWrongWithThem(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	name := func(s string) proto.HostName {
		h, err := proto.ParseHostName(s)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	var b strings.Builder
	drawLeases(&b, proto.LeaseListReply{Slots: 4, Leases: []proto.LeaseHolder{
		{Host: name("web1"), Deployment: "7-1\x1b[2J", Since: now.Add(-3 * time.Hour), Seen: now.Add(-2 * time.Hour), Silent: true},
		{Host: name("web2"), Since: now.Add(-5 * time.Minute), Expires: now.Add(5 * time.Hour), Seen: now},
		{Host: name("web3"), Deployment: "7-1", Since: now.Add(-48 * time.Hour), Expires: now, Silent: true},
	}}, now)
	want := `HOST  HELD  EXPIRES      DEPLOYMENT  NOTE
web1  3h    never        7-1[2J      silent for 2h
web2  5m    in 5h        -
web3  2d    when needed  7-1         never heard of

3 of 4 reboot leases are held
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
