package enroll

import (
	"net/http"
	"strings"
	"testing"

	"kedge/proto"
)

// Nothing that is not signed with the key in it reaches the desk, and nothing is the
// controller's fault.
func FuzzServe(f *testing.F) {
	f.Add(`{"format":1,"nonce":"x","host":"web1","public_key":"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4","signature":"AA=="}`)
	f.Add(`{"format":1,"nonce":"x","host":"../web1","public_key":"U","signature":"AA=="}`)
	f.Add(`{"format":2}`)
	f.Add(`{}`)
	f.Add(`{"format":1,"nonce":"` + strings.Repeat("x", proto.MaxEnroll) + `"}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := newStand(t)
		w := s.do(t, http.MethodPost, proto.EnrollPath, somewhere, body)
		if w.Code < http.StatusBadRequest || w.Code >= http.StatusInternalServerError || s.desk.redeemed+s.desk.renewed > 0 {
			t.Errorf("%q: got %d %s, desk %+v", body, w.Code, w.Body, s.desk)
		}
	})
}
