package hosts

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	type packet struct {
		at     time.Duration // handed over, since the start
		size   int           // bytes
		chance float64
		want   time.Duration // arrival since the start, -1 if lost
	}
	const lost = -1
	tests := []struct {
		name    string
		line    Line
		packets []packet
	}{
		{"a perfect line delivers at once", Line{}, []packet{{0, 1500, 0, 0}, {5, 1500, 0, 5}}},
		{
			"delay is added to each packet",
			Line{Delay: 20 * time.Millisecond},
			[]packet{{0, 1500, 0, 20 * time.Millisecond}, {time.Millisecond, 1500, 0, 21 * time.Millisecond}},
		},
		{
			"packets wait for those before at a limited rate", Line{Rate: 8_000_000}, // a byte a microsecond
			[]packet{
				{0, 1000, 0, time.Millisecond},
				{0, 1000, 0, 2 * time.Millisecond},
				{5 * time.Millisecond, 1000, 0, 6 * time.Millisecond},
			},
		},
		{
			"rate and delay add up",
			Line{Rate: 8_000_000, Delay: 10 * time.Millisecond},
			[]packet{{0, 1000, 0, 11 * time.Millisecond}, {0, 1000, 0, 12 * time.Millisecond}},
		},
		{
			"a full queue drops",
			Line{Rate: 8_000_000},
			[]packet{{0, 200_000, 0, 200 * time.Millisecond}, {0, 1000, 0, 201 * time.Millisecond}, {0, 1000, 0, lost}},
		},
		{
			"chance below the loss drops, and takes no time on the line",
			Line{Rate: 8_000_000, Loss: 0.1},
			[]packet{{0, 1000, 0.05, lost}, {0, 1000, 0.1, time.Millisecond}},
		},
		{"everything is lost on a dead line", Line{Loss: 1}, []packet{{0, 1000, 0.999, lost}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			p := pace{line: test.line}
			for i, packet := range test.packets {
				arrival, arrives := p.send(start.Add(packet.at), packet.size, packet.chance)
				got := time.Duration(lost)
				if arrives {
					got = arrival.Sub(start)
				}
				if got != packet.want {
					t.Errorf("packet %d (%+v) arrives at %v, want %v", i, packet, got, packet.want)
				}
			}
		})
	}
}
