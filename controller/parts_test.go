package controller

import (
	"testing"
	"time"
)

func TestAnEvaluationIsNotGivenTheTimeOfABuild(t *testing.T) {
	o := buildOptions(BuildConfig{Timeout: 5 * time.Hour, MaxSilent: time.Hour}, nil, "", nil)
	if o.BuildTimeout != 5*time.Hour || o.MaxSilent != time.Hour || o.EvalTimeout != 0 {
		t.Errorf("build %s, silence %s, evaluation %s; want 5h, 1h and the default", o.BuildTimeout, o.MaxSilent, o.EvalTimeout)
	}
}
