package statefile

import (
	"testing"
	"time"

	"kedge/agent/internal/deployment"
	"kedge/proto"
)

func TestKeptFindsWhatAnotherProcessWrites(t *testing.T) {
	other := Dir{State: t.TempDir(), Runtime: t.TempDir()}
	d := other.Kept()
	for n := range 3 {
		want := deployment.Deployment{ID: string(rune('a' + n)), Attempt: n}
		proven := deployment.Proven{Generation: proto.Generation(n), Since: time.Unix(int64(n), 0)}
		floor := proto.Floor{Serial: proto.Serial(n)}
		for _, err := range []error{other.Save(want), other.SaveProven(proven), other.SaveFloor(floor)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if got, err := d.Deployment(); err != nil || got.ID != want.ID || got.Attempt != n {
				t.Errorf("record: got %+v, %v, want %+v", got, err, want)
			}
			if got, err := d.Proven(); err != nil || got.Generation != proven.Generation {
				t.Errorf("proven: got %+v, %v, want %+v", got, err, proven)
			}
			if got, err := d.PeekFloor(); err != nil || !got.Equal(floor) {
				t.Errorf("floor: got %+v, %v, want %+v", got, err, floor)
			}
			if got, err := d.Floor(); err != nil || !got.Equal(floor) {
				t.Errorf("floor: got %+v, %v, want %+v", got, err, floor)
			}
		}
	}
}

func BenchmarkDeployment(b *testing.B) {
	d := Dir{State: "testdata/1"}
	for name, d := range map[string]Dir{"read": d, "kept": d.Kept()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Deployment(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
