package netrc

import "testing"

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Login
	}{
		{"nothing", "", Login{}},
		{"one line", "machine cache.example login ada password s3cret", Login{"ada", "s3cret"}},
		{"a password alone, over lines", "machine cache.example\n\tpassword s3cret\n", Login{"", "s3cret"}},
		{"the first one counts", "machine cache.example password a\nmachine cache.example password b", Login{"", "a"}},
		{"another machine", "machine other.example login ada password a", Login{}},
		{"its own after another", "machine other.example login eve password a machine CACHE.example login ada password b", Login{"ada", "b"}},
		{"the default", "machine other.example password a\ndefault login guest password b", Login{"guest", "b"}},
		{"the default before its own", "default login guest password b\nmachine cache.example login ada password a\n", Login{"guest", "b"}},
		{"names of words as words", "machine other.example login machine password cache.example\n", Login{}},
		{"comments and macros", "# machine cache.example password no\nmacdef init\nmachine cache.example password no\n\nmachine cache.example account x password yes # of ada\n", Login{"", "yes"}},
		{"quotes", `machine cache.example login "ada b" password "a\"b\\c # d"`, Login{"ada b", `a"b\c # d`}},
		{"cut short", "machine cache.example password", Login{}},
		{"a quote that does not end", `machine cache.example password "a\`, Login{"", `a\`}},
	} {
		if got := Find(tt.text, "cache.example"); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
