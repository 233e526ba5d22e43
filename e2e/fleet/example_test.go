package fleet

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"kedge/proto"
)

// said is what `kedge host add` says on the build host of the example.
const said = `{
  "release_keys": ["kedge-build-release-1:vd7fl7lOGi2J46PR2miNuG5NogpCqPI3uJKumlzOeOY="],
  "controller_keys": ["kedge-build-controller-1:STiUoHCHRcVsWOfa0KnTUPfo41rNFg/biFXsGK3sLQ4="],
  "cache_keys": ["kedge-build-cache-1:Iag6dvarzt8buVO/gN6nyQVYqeAy59LOVcHam4oKeN4="],
  "servers": ["wss://build.example.org/nats"],
  "pins": ["sha256:MydTsaHxVS2NdGUSXtIr+zqo49m0aCl7JYG0q/3WW4g="]
}`

// TestTrusting puts what is said when a host is added into the example's agent.nix:
// each key and the pin have one place there, and nothing else changes.
func TestTrusting(t *testing.T) {
	text, err := os.ReadFile("../../" + exampleDir + "/agent.nix")
	if err != nil {
		t.Fatal(err)
	}
	var reply proto.HostAddReply
	if err := json.Unmarshal([]byte(said), &reply); err != nil {
		t.Fatal(err)
	}
	got, err := trusting(string(text), reply)
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`"(kedge-build-[a-z]+-1|sha256):([^"]*)"`)
	for _, place := range key.FindAllStringSubmatch(got, -1) {
		if !strings.Contains(said, place[0]) {
			t.Errorf("there still is %s", place[0])
		}
	}
	if n := len(key.FindAllString(got, -1)); n != 4 {
		t.Errorf("%d keys and pins in it, want 4:\n%s", n, got)
	}
	if before, after := key.ReplaceAllString(string(text), ""), key.ReplaceAllString(got, ""); after != before {
		t.Errorf("more than keys and pins is another:\n%s", got)
	}

	for what, other := range map[string]func(r *proto.HostAddReply){
		"a key that has no place":        func(r *proto.HostAddReply) { r.CacheKeys = []string{"other-1:AA=="} },
		"a server that it does not name": func(r *proto.HostAddReply) { r.Servers = []string{"wss://other.example.org/nats"} },
	} {
		r := reply
		other(&r)
		if _, err := trusting(string(text), r); err == nil || !strings.Contains(err.Error(), "other") {
			t.Errorf("%s: error %v, want one that names it", what, err)
		}
	}
}
