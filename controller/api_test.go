package controller

import (
	"fmt"
	"strings"
	"testing"

	"kedge/proto"
)

func TestAuditOfManyHostsCanBeStored(t *testing.T) {
	var hosts []proto.HostName
	for i := range 10000 {
		hosts = append(hosts, host(t, fmt.Sprintf("%s-%d", strings.Repeat("a", 50), i)))
	}
	e := proto.AuditEntry{Actor: "eve", Act: proto.ActReconcile, Message: hostNames(hosts)}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > proto.MaxAudit || !strings.HasSuffix(e.Message, " and 9936 more") {
		t.Errorf("%d bytes, at most %d are stored; message ends with %q", len(b), proto.MaxAudit, e.Message[len(e.Message)-20:])
	}
}
