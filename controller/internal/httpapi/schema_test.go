package httpapi_test

import (
	"encoding"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"kedge/proto"
)

// schemas are the JSON schemas of Go types, with what the Go documentation says of them.
type schemas struct {
	named object            // of structs, by name
	docs  map[string]string // of types and of their fields, such as Host and Host.Name
}

func newSchemas(t *testing.T) *schemas {
	t.Helper()
	s := &schemas{named: object{}, docs: map[string]string{}}
	for _, pattern := range []string{"../../../proto/*.go", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			s.read(f)
		}
	}
	return s
}

// read takes what is said in a file.
func (s *schemas) read(f *ast.File) {
	for _, d := range f.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range decl.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			s.docs[typ.Name.Name] = plain(decl.Doc.Text())
			fields, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				for _, name := range field.Names {
					s.docs[typ.Name.Name+"."+name.Name] = plain(field.Doc.Text() + " " + field.Comment.Text())
				}
			}
		}
	}
}

var goLink = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// plain makes one line of a comment, without the links of Go.
func plain(comment string) string {
	text := goLink.ReplaceAllString(strings.Join(strings.Fields(comment), " "), "$1")
	return strings.ReplaceAll(text, "MaxWait", proto.MaxWait.String())
}

func firstSentence(s string) string {
	if i := strings.IndexAny(s, ".:"); i >= 0 {
		return s[:i]
	}
	return s
}

var textType = reflect.TypeFor[encoding.TextMarshaler]()

// choices are what those types may be that callers choose of.
var choices = map[reflect.Type][]any{
	reflect.TypeFor[proto.Role]():    {proto.RoleViewer, proto.RoleOperator, proto.RoleAdmin},
	reflect.TypeFor[proto.KeyRole](): {proto.KeyRelease, proto.KeyController},
}

// of returns the schema of a type.
func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "description": "nanoseconds"}
	case t == reflect.TypeFor[proto.HostName]():
		return object{"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}
	case choices[t] != nil:
		return object{"type": "string", "enum": choices[t]}
	case t.Implements(textType):
		return object{"type": "string"}
	}
	switch t.Kind() { //nolint:exhaustive // no message has others
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Uint64, reflect.Uint32:
		return object{"type": "integer", "minimum": 0}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		if _, known := s.named[t.Name()]; !known {
			s.named[t.Name()] = object{} // it may be of itself
			s.named[t.Name()] = s.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	return object{"description": "TODO: " + t.String()} // the test of the file fails on it
}

// request returns the schema of a request, which may have no other fields.
func (s *schemas) request(t reflect.Type) object {
	ref := s.of(t)
	s.named[t.Name()].(object)["additionalProperties"] = false
	return ref
}

func (s *schemas) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		properties[name] = commented(s.of(f.Type), s.docs[t.Name()+"."+f.Name])
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	o := object{"type": "object", "properties": properties}
	if doc := s.docs[t.Name()]; doc != "" {
		o["description"] = doc
	}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// commented adds what is said of a field to its schema.
func commented(o object, doc string) object {
	if before, ok := o["description"].(string); ok && doc != "" && !strings.Contains(doc, before) {
		doc = before + "; " + doc
	}
	if doc != "" {
		o["description"] = doc
	}
	return o
}

// parameters returns the fields of a request as those of a query.
func (s *schemas) parameters(t reflect.Type) (list []object) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema, doc := s.of(f.Type), s.docs[t.Name()+"."+f.Name]
		if f.Type == reflect.TypeFor[time.Duration]() {
			schema = object{"type": "string", "examples": []string{"30s"}}
			doc = strings.Replace(doc, "nanoseconds", "such as 30s", 1)
		}
		p := object{"name": name, "in": "query", "required": !strings.Contains(options, "omit"), "schema": schema}
		if doc != "" {
			p["description"] = doc
		}
		list = append(list, p)
	}
	return list
}
