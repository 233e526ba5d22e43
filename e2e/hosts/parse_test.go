package hosts

import "testing"

func TestCheckLabel(t *testing.T) {
	tests := []struct {
		name, label string
		ok          bool
	}{
		{"accepts letters, digits and dashes", "web-1", true},
		{"accepts 24 characters", "abcdefghijklmnopqrstuvwx", true},
		{"rejects 25 characters", "abcdefghijklmnopqrstuvwxy", false},
		{"rejects nothing", "", false},
		{"rejects a dot", "web.1", false},
		{"rejects a slash", "web/1", false},
		{"rejects capitals", "Web1", false},
		{"rejects a leading dash", "-web1", false},
		{"rejects a trailing dash", "web1-", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := checkLabel("machine", test.label); (err == nil) != test.ok {
				t.Errorf("checkLabel(%q) = %v, want accepted: %v", test.label, err, test.ok)
			}
		})
	}
}

func TestIsLeader(t *testing.T) {
	tests := []struct {
		name, status string
		want         bool
	}{
		{"process 1 of the container", "Name:\tsystemd\nNSpid:\t21173\t3\t1\n", true},
		{"another process of the container", "Name:\tsshd\nNSpid:\t21223\t53\t51\n", false},
		{"process 1 of a container in the container", "NSpid:\t21300\t90\t80\t1\n", false},
		{"systemd-nspawn, process 1 outside of it", "NSpid:\t21171\t1\n", false},
		{"the process that made the namespaces", "NSpid:\t21169\n", false},
		{"a kernel that does not say", "Name:\tsystemd\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isLeader(test.status); got != test.want {
				t.Errorf("isLeader(%q) = %v, want %v", test.status, got, test.want)
			}
		})
	}
}

func TestHasKey(t *testing.T) {
	tests := []struct {
		name, message string
		want          bool
	}{
		{"alone", "READY=1", true},
		{"among others", "STATUS=Ready.\nREADY=1\n", true},
		{"only as part of another", "NOT_READY=1\n", false},
		{"only in a value", "STATUS=READY=1", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := hasKey(test.message, "READY"); got != test.want {
				t.Errorf("hasKey(%q, READY) = %v, want %v", test.message, got, test.want)
			}
		})
	}
}
