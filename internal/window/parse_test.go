package window

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"Sat,Sun 02:00-04:00 Europe/Berlin": "Sat,Sun 02:00-04:00 Europe/Berlin",
		"02:00-04:00":                       "02:00-04:00 UTC",
		"  sun,MON   22:00-06:30  UTC ":     "Mon,Sun 22:00-06:30 UTC",
		"Fri-Mon 00:00-24:00":               "Mon,Fri,Sat,Sun 00:00-24:00 UTC",
		"Mon-Sun 01:00-02:00":               "01:00-02:00 UTC",
		"Mon-Mon,Wed-Thu 01:00-02:00":       "Mon,Wed,Thu 01:00-02:00 UTC",
		"1-7 Sat 02:00-04:00":               "1,2,3,4,5,6,7 Sat 02:00-04:00 UTC",
		"Dec 24-31 00:00-24:00":             "Dec 24,25,26,27,28,29,30,31 00:00-24:00 UTC",
		"nov-JAN sun 01:00-02:00":           "Jan,Nov,Dec Sun 01:00-02:00 UTC",
		"30-2 01:00-02:00":                  "1,2,30,31 01:00-02:00 UTC",
		"Mar 01:00-02:00":                   "Mar 01:00-02:00 UTC",
		"23:59-00:00 America/New_York":      "23:59-00:00 America/New_York",
	} {
		w, err := Parse(text)
		if err != nil || w.String() != want {
			t.Errorf("%q: got %q, %v; want %q", text, w, err, want)
		}
	}
}

func TestParseNamesTheProblem(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "it has no start and end",
		"Sat":                     "it has no start and end",
		"Sam 02:00-04:00":         `got "Sam"`,
		"Sat, Sun 02:00-04:00":    `got ""`,
		"Mon-Wed-Fri 02:00-04:00": `got "Wed-Fri"`,
		"0 02:00-04:00":           `a date must be 1 to 31, or two of them as in 1-7, got "0"`,
		"1-32 02:00-04:00":        `got "32"`,
		"Jan-Mon 02:00-04:00":     `a month must be`,
		"Feb,Apr 31 02:00-04:00":  "no month of these has such a date",
		"Mar 25-31 Sun 02:00-03:00 Europe/Berlin": "it never opens",
		"Sat 1-7 02:00-04:00":                     `a time must be 00:00 to 24:00, got "1"`,
		"02:00":                                   `must be written as 02:00-04:00, got "02:00"`,
		"2:00-04:00":                              `got "2:00"`,
		"02:00-4":                                 `got "4"`,
		"02:00-04:60":                             `got "04:60"`,
		"02:00-24:01":                             `got "24:01"`,
		"02:00-+1:00":                             `got "+1:00"`,
		"02:00-02:00":                             "has no length",
		"24:00-02:00":                             "has no length",
		"02:00-04:00 Mars/Olympus":                `no time zone "Mars/Olympus"`,
		"02:00-04:00 ../zone":                     `no time zone "../zone"`,
		"02:00-04:00 Local":                       "must be named",
		"02:00-04:00 Europe/Berlin daily":         `got "daily"`,
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "is no window such as") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestText(t *testing.T) {
	var ws Windows
	const text = `["Sat,Sun 02:00-04:00 Europe/Berlin","03:00-05:00 UTC"]`
	if err := json.Unmarshal([]byte(text), &ws); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(ws); err != nil || string(got) != text {
		t.Errorf("got %s, %v; want %s", got, err, text)
	}
	if err := json.Unmarshal([]byte(`[""]`), &ws); err == nil {
		t.Error("an empty window: no error")
	}
}
