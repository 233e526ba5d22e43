package vm

import "testing"

func TestCanVirtualise(t *testing.T) {
	tests := []struct {
		name, info string
		want       bool
	}{
		{"AMD", "processor\t: 0\nflags\t\t: fpu svm sse\n", true},
		{"Intel", "flags\t\t: fpu vmx\n", true},
		{"a virtual machine without", "model name\t: AMD svm\nflags\t\t: fpu sse svm_lock\n", false},
		{"nothing", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := canVirtualise(test.info); got != test.want {
				t.Errorf("canVirtualise(%q) = %t, want %t", test.info, got, test.want)
			}
		})
	}
}
