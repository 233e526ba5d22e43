package logind

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An answer is what a fake bus says to a call: the body of the reply, or the
// name of an error.
type answer struct {
	body  []any
	error string
}

// serve is a message bus that answers what method and path are given, until the
// test ends. A method without an answer is never answered.
func serve(t *testing.T, answers map[string]answer) Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// It ends with the client's connection, or what it cannot understand.
			_ = converse(conn, answers)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-served
	})
	return Client{Address: "unix:path=" + path}
}

func converse(conn net.Conn, answers map[string]answer) error {
	in := bufio.NewReader(conn)
	for line := ""; line != "BEGIN"; {
		text, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.Trim(text, "\x00\r\n")
		reply := map[string]string{"AUTH": "REJECTED EXTERNAL", "NEGOTIATE_UNIX_FD": "AGREE_UNIX_FD", "BEGIN": ""}[line]
		switch {
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			reply = "OK 0123456789abcdef0123456789abcdef"
		case line == "BEGIN":
			continue
		}
		if _, err := conn.Write([]byte(reply + "\r\n")); err != nil {
			return err
		}
	}
	for serial := uint32(1); ; serial++ {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return err
		}
		a, known := answers[callName(call)]
		if callName(call) == "Hello" {
			a, known = answer{body: []any{":1.1"}}, true
		}
		if !known {
			continue
		}
		b, err := reply(serial, call, a)
		if err != nil {
			return err
		}
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
}

// callName is a call's method, and for a session's properties the session.
func callName(call *dbus.Message) string {
	method, _ := call.Headers[dbus.FieldMember].Value().(string)
	path, _ := call.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	if method == "GetAll" {
		return string(path)
	}
	return method
}

func reply(serial uint32, call *dbus.Message, a answer) ([]byte, error) {
	m := &dbus.Message{Type: dbus.TypeMethodReply, Body: a.body, Headers: map[dbus.HeaderField]dbus.Variant{}}
	if a.error != "" {
		m.Type = dbus.TypeError
		m.Headers[dbus.FieldErrorName] = dbus.MakeVariant(a.error)
		m.Body = []any{"as the test wants it"}
	}
	m.Headers[dbus.FieldReplySerial] = dbus.MakeVariant(call.Serial())
	m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return nil, err
	}
	const serialAt = 8 // which a Message does not let one set
	binary.LittleEndian.PutUint32(b.Bytes()[serialAt:], serial)
	return b.Bytes(), nil
}
