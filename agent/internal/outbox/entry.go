package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"kedge/proto"
)

const (
	eventSuffix = ".json"
	tornSuffix  = ".torn"
)

// An entry is one queued event. Its file name is number and key.
type entry struct {
	number uint64       // in the order in which they came, whatever the clock does
	key    string       // of the event's ID
	lent   *proto.Event // the event; nil once it is in its file
}

// keyBytes of an ID's hash: no two of a thousand have the same.
const keyBytes = 16

// keyOf returns the key of an event's ID, which may hold any bytes.
func keyOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:keyBytes])
}

func (e entry) name() string { return fmt.Sprintf("%020d-%s%s", e.number, e.key, eventSuffix) }

// parseEntry returns the entry whose file has that name, if one has.
func parseEntry(name string) (entry, bool) {
	stem, ok := strings.CutSuffix(name, eventSuffix)
	if !ok {
		return entry{}, false
	}
	digits, key, ok := strings.Cut(stem, "-")
	if !ok {
		return entry{}, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return entry{}, false
	}
	e := entry{number: number, key: key}
	return e, e.name() == name
}
