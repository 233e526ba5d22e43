package proto_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kedge/proto"
)

// TestListsOfReasonsAreComplete compares the lists with the blocks of constants
// that they are of, so that no new reason is left out of the metrics.
func TestListsOfReasonsAreComplete(t *testing.T) {
	blocks := reasonBlocks(t)
	refusals := slices.DeleteFunc(blocks[0], func(r proto.Reason) bool {
		return r == proto.ReasonQuarantined // found later, by the host
	})
	if diff := cmp.Diff(refusals, proto.RefusalReasons()); diff != "" {
		t.Errorf("refusals (-constants +list):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Concat(refusals, blocks[1], blocks[2]), proto.DeploymentReasons()); diff != "" {
		t.Errorf("ends of deployments (-constants +list):\n%s", diff)
	}
}

// reasonBlocks returns the constants of each block of reason.go.
func reasonBlocks(t *testing.T) (blocks [][]proto.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		constants, ok := d.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		var block []proto.Reason
		ast.Inspect(constants, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok {
				value, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				block = append(block, proto.Reason(value))
			}
			return true
		})
		blocks = append(blocks, block)
	}
	const want = 5
	if len(blocks) != want {
		t.Fatalf("reason.go has %d blocks of constants, this test knows %d", len(blocks), want)
	}
	return blocks
}
