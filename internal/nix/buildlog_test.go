package nix

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// jsonOutput is as Nix 2.26.3 writes it, but for what is left out.
const jsonOutput = `@nix {"action":"start","id":1,"level":6,"parent":0,"text":"querying info about missing paths","type":0}
@nix {"action":"stop","id":1}
@nix {"action":"msg","level":3,"msg":"this derivation will be built:"}
@nix {"action":"msg","level":5,"msg":"acquiring a lock"}
@nix {"action":"start","fields":["/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv","",1,1],"id":2,"level":3,"parent":0,"text":"building '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv'","type":105}
@nix {"action":"result","fields":[0,1,1,0],"id":3,"type":105}
@nix {"action":"result","fields":["\u001b[1mcompiling\u001b[0m"],"id":2,"type":101}
@nix {"action":"result","fields":["boom"],"id":2,"type":101}
@nix {"action":"stop","id":2}
ssh: what SSH says
@nix {"action":"msg","column":null,"file":null,"level":0,"line":null,"msg":"\u001b[31;1merror:\u001b[0m builder for '\u001b[35;1m/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv\u001b[0m' failed with exit code 3","raw_msg":""}
`

func TestABuildIsHeardAsItGoes(t *testing.T) {
	c, calls := fakeNix(t, "cat >&2 <<'EOF'\n"+jsonOutput+"EOF\nexit 1")
	var got []string
	err := c.Realise(t.Context(), RealiseOptions{
		Derivations: []proto.StorePath{parsePath(t, jobDerivation)}, CopyTo: "file:///c",
		Log: func(derivation, line string) { got = append(got, derivation+"> "+line) },
	})
	want := []string{
		"> this derivation will be built:",
		"> building '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv'",
		"bad-1.0> compiling",
		"bad-1.0> boom",
		"> ssh: what SSH says",
		"> error: builder for '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv' failed with exit code 3",
		">        Last 2 log lines:",
		">        > compiling",
		">        > boom",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	failed, ok := errors.AsType[*CommandError](err)
	wantError := strings.Join([]string{
		"ssh: what SSH says",
		"error: builder for '/nix/store/sb91z3lg2p9d9yg08q2sgj7wnxz4dm34-bad-1.0.drv' failed with exit code 3",
		"       Last 2 log lines:", "       > compiling", "       > boom", "",
	}, "\n")
	if !ok || failed.Stderr != wantError {
		t.Errorf("error = %v, with\n%s\nwant\n%s", err, failed.Stderr, wantError)
	}
	if call := calls()[0]; !strings.Contains(call, "--log-format internal-json") {
		t.Errorf("called %q, which does not ask for JSON", call)
	}
}

// TestABuilderMaySayALongLine that ends no build: it is not the only one that is built.
func TestABuilderMaySayALongLine(t *testing.T) {
	c, _ := fakeNix(t, `printf '@nix {"action":"result","fields":["' >&2
head -c 6000000 /dev/zero | tr '\0' x >&2
printf '"],"id":2,"type":101}\n@nix {"action":"msg","level":3,"msg":"building"}\n' >&2`)
	var got []string
	err := c.Realise(t.Context(), RealiseOptions{
		Derivations: []proto.StorePath{parsePath(t, jobDerivation)},
		Log:         func(_, line string) { got = append(got, line) },
	})
	if diff := cmp.Diff([]string{"building"}, got); diff != "" || err != nil {
		t.Errorf("error = %v, log (-want +got):\n%s", err, diff)
	}
}
