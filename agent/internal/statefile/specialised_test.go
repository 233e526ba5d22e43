package statefile

import "testing"

func TestSpecialised(t *testing.T) {
	d := newDir(t)
	if noted, err := d.Specialised("b1"); noted || err != nil {
		t.Errorf("before it was noted: %t, %v", noted, err)
	}
	if err := d.NoteSpecialised("b1"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"b1": true, "b2": false} {
		if noted, err := d.Specialised(id); noted != want || err != nil {
			t.Errorf("in boot %s: %t, %v; want %t", id, noted, err, want)
		}
	}
}
