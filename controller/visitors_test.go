package controller

import (
	"net"
	"testing"
)

func TestVisitorsAreForgottenWhenTheyGo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	v := newVisitors()
	dial := func() *passage {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return &passage{Conn: conn, visitors: v}
	}
	stays, goes := dial(), dial()
	defer stays.Close()
	stays.let("192.0.2.1")
	goes.let("192.0.2.2")
	for p, want := range map[*passage]string{stays: "192.0.2.1", goes: "192.0.2.2"} {
		if got := v.behind(p.LocalAddr().String()); got != want {
			t.Errorf("behind %s is %q, want %q", p.LocalAddr(), got, want)
		}
	}
	_ = goes.Close() // nothing was written
	goes.let("192.0.2.2")
	if len(v.from) != 1 || v.behind(stays.LocalAddr().String()) != "192.0.2.1" {
		t.Errorf("who is remembered: %v", v.from)
	}
}
