package controller

import (
	"slices"
	"testing"
	"time"

	"kedge/internal/nix"
)

func TestAnEvaluationIsNotGivenTheTimeOfABuild(t *testing.T) {
	c := DefaultConfig()
	c.Build.Timeout, c.Build.MaxSilent, c.Build.EvalWorkers = 5*time.Hour, time.Hour, 3
	o := buildOptions(c, nil, "", nil)
	if o.BuildTimeout != 5*time.Hour || o.MaxSilent != time.Hour || o.EvalTimeout != 0 {
		t.Errorf("build %s, silence %s, evaluation %s; want 5h, 1h and the default", o.BuildTimeout, o.MaxSilent, o.EvalTimeout)
	}
	if o.Workers != 3 || o.Memory != 4096 || o.Revisions != 10 || o.Keep != 10 || o.Evaluations != "/var/lib/kedge-controller/evaluations" {
		t.Errorf("options: got %+v", o)
	}
}

func TestNixIsToldHowManyBuildsAndWhere(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config BuildConfig
		want   []nix.Setting
	}{
		{"as by default", DefaultConfig().Build, []nix.Setting{{Name: "max-jobs", Value: "auto"}}},
		{
			"and elsewhere",
			BuildConfig{Jobs: 2, Builders: []string{"ssh-ng://a aarch64-linux", "@/etc/nix/machines"}},
			[]nix.Setting{{Name: "max-jobs", Value: "2"}, {Name: "builders", Value: "ssh-ng://a aarch64-linux ; @/etc/nix/machines"}},
		},
		{"two here", BuildConfig{Jobs: 2}, []nix.Setting{{Name: "max-jobs", Value: "2"}, {Name: "build-hook", Value: ""}}},
	} {
		if got := nixSettings(tt.config); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
