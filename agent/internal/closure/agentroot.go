package closure

import (
	"strings"

	"kedge/proto"
)

// rootAgent keeps the agent that the next boots run first.
const rootAgent = "agent"

// Agent keeps the program at file from being collected, until another one is named:
// the next boots run it, and the system that it is of may be in no generation. One
// that is not in the store needs no root.
func (r Roots) Agent(file string) error {
	below, inStore := strings.CutPrefix(file, proto.StoreDir)
	if !inStore {
		return nil
	}
	object, _, _ := strings.Cut(below, "/")
	p, err := proto.ParseStorePath(proto.StoreDir + object)
	if err != nil {
		return err
	}
	return r.link(rootAgent, p)
}
