package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// The dialect of JSON Schema is draft-07: it is what yaml-language-server, and with it most editors, reads in full.
const schemaDialect = "http://json-schema.org/draft-07/schema#"

// jsonSchema is as much of a JSON Schema as the two files need, in the order in which people read it.
type jsonSchema struct {
	Dialect       string        `json:"$schema,omitempty"`
	Ref           string        `json:"$ref,omitempty"` // alone, as draft-07 reads nothing beside it
	Title         string        `json:"title,omitempty"`
	Description   string        `json:"description,omitempty"`
	Type          any           `json:"type,omitempty"`
	Default       any           `json:"default,omitempty"`
	Examples      []any         `json:"examples,omitempty"`
	Enum          []any         `json:"enum,omitempty"`
	Pattern       string        `json:"pattern,omitempty"`
	Minimum       *int64        `json:"minimum,omitempty"`
	Maximum       *int64        `json:"maximum,omitempty"`
	MinItems      int           `json:"minItems,omitempty"`
	Items         *jsonSchema   `json:"items,omitempty"`
	Required      []string      `json:"required,omitempty"`
	Properties    properties    `json:"properties,omitempty"`
	MinProperties int           `json:"minProperties,omitempty"`
	Names         *jsonSchema   `json:"propertyNames,omitempty"`
	Additional    any           `json:"additionalProperties,omitempty"`
	AllOf         []*jsonSchema `json:"allOf,omitempty"`
	AnyOf         []*jsonSchema `json:"anyOf,omitempty"`
	OneOf         []*jsonSchema `json:"oneOf,omitempty"`
	Not           *jsonSchema   `json:"not,omitempty"`
	Definitions   properties    `json:"definitions,omitempty"`
}

// properties are a JSON object in the order of the declarations.
type properties []property

type property struct {
	name string
	of   *jsonSchema
}

// MarshalJSON implements json.Marshaler.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, member := range p {
		b.WriteByte("{,"[min(i, 1)])
		name, err := json.Marshal(member.name)
		if err != nil {
			return nil, err
		}
		value, err := encode(member.of, "")
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is JSON in which < and & stay readable.
func encode(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// Schema is the JSON Schema (draft-07) of config.yaml, and of clients.yaml where clients is set, for editors. It takes
// whatever loads. What it can't see is left to Load: files, variables, and what one key means for another.
func Schema(clients bool) []byte {
	top, title := configForm.shape, "Gatehouse: config.yaml"
	if clients {
		top, title = clientsForm.shape, "Gatehouse: clients.yaml"
	}
	s := top.schema()
	s.Dialect, s.Title = schemaDialect, title
	s.Definitions = properties{{"variable", textSchema(variableText)}}
	out, err := encode(s, "  ")
	if err != nil {
		panic(err) // declared values always marshal
	}
	return out
}

// variableText finds ${NAME} and ${NAME:-default}. What a variable holds is not known to a schema, so that any text with one passes.
const variableText = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`

func textSchema(patterns ...string) *jsonSchema {
	s := &jsonSchema{Type: "string"}
	for _, p := range patterns {
		s.AllOf = append(s.AllOf, &jsonSchema{Pattern: p})
	}
	if len(s.AllOf) == 1 {
		s.Pattern, s.AllOf = patterns[0], nil
	}
	return s
}

var aVariable = &jsonSchema{Ref: "#/definitions/variable"}

// orVariable is s, or a text that holds a variable.
func orVariable(s *jsonSchema) *jsonSchema {
	return &jsonSchema{AnyOf: []*jsonSchema{s, aVariable}}
}

func (s shape) schema() *jsonSchema {
	switch s.kind {
	case "object":
		return s.objectSchema()
	case "map":
		out := &jsonSchema{Type: "object", Additional: s.elem.schema()}
		if s.names != "" {
			out.Names = &jsonSchema{Pattern: s.names}
		}
		return out
	case "list", "text or list":
		out := s.listSchema()
		if s.alone {
			return &jsonSchema{AnyOf: []*jsonSchema{s.elem.schema(), out}}
		}
		return out
	case "list or object":
		object := s.objectSchema()
		object.MinProperties = 1
		return &jsonSchema{AnyOf: []*jsonSchema{s.listSchema(), object}}
	}
	return s.scalarSchema()
}

func (s shape) listSchema() *jsonSchema {
	out := &jsonSchema{Type: "array", Items: s.elem.schema()}
	if s.filled {
		out.MinItems = 1
	}
	return out
}

func (s shape) scalarSchema() *jsonSchema {
	switch s.kind {
	case "true or false":
		return orVariable(&jsonSchema{Type: "boolean"})
	case "whole number":
		return orVariable(&jsonSchema{Type: "integer", Minimum: &s.least, Maximum: &s.most})
	case "duration":
		return orVariable(textSchema(`^[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h)`, "[1-9]"))
	case "size":
		return &jsonSchema{AnyOf: []*jsonSchema{{Type: "integer", Minimum: &s.least, Maximum: &s.most}, textSchema(sizeText.String()), aVariable}}
	case "note":
		return &jsonSchema{Type: []string{"string", "number", "boolean"}}
	case "SHA-256": // without letters it is a number to YAML
		return orVariable(&jsonSchema{Type: []string{"string", "number"}, Pattern: s.pattern})
	case "variable":
		return textSchema("^" + variableText + "$")
	}
	return s.textSchema()
}

func (s shape) textSchema() *jsonSchema {
	var any []*jsonSchema
	if len(s.words) > 0 {
		e := &jsonSchema{}
		for _, w := range s.words {
			e.Enum = append(e.Enum, w)
			if decimal.MatchString(w) {
				var n int64
				fmt.Sscan(w, &n)
				e.Enum = append(e.Enum, n) // as it is written without quotes
			}
		}
		any = append(any, e)
	}
	if s.pattern != "" {
		any = append(any, textSchema(s.pattern))
	}
	if len(any) == 0 {
		return textSchema()
	}
	return &jsonSchema{AnyOf: append(any, aVariable)}
}

func (s shape) objectSchema() *jsonSchema {
	out := &jsonSchema{Type: "object", Additional: false}
	for _, k := range s.keys {
		if k.required {
			out.Required = append(out.Required, k.name)
		}
		out.Properties = append(out.Properties, property{k.name, k.schema()})
	}
	for _, c := range s.choices {
		out.AllOf = append(out.AllOf, c.schema())
	}
	return out
}

func (c choice) schema() *jsonSchema {
	if c.must {
		out := &jsonSchema{}
		for _, k := range c.keys {
			out.OneOf = append(out.OneOf, &jsonSchema{Required: []string{k}})
		}
		return out
	}
	return &jsonSchema{Not: &jsonSchema{Required: c.keys}}
}

func (k keyShape) schema() *jsonSchema {
	out := k.shape.schema()
	if k.nullable {
		out = &jsonSchema{AnyOf: []*jsonSchema{{Type: "null"}, out}}
	}
	out.Description = k.text()
	if k.std != "" && k.std != "{}" {
		out.Default = fromYAML(k.std)
	}
	if k.sample != "" {
		out.Examples = []any{fromYAML(k.sample)}
	}
	return out
}

// text is what is said of a key, with its bounds, its default and whether it must be there.
func (k keyShape) text() string {
	parts := []string{k.doc}
	if b := k.shape.bounds(); b != "" {
		parts = append(parts, b)
	}
	if k.required {
		parts = append(parts, "Required.")
	}
	if d := k.fallback(); d != "" {
		parts = append(parts, "Default: "+d+".")
	}
	if k.nullable {
		parts = append(parts, "null switches off what defaults says.")
	}
	return strings.Join(parts, " ")
}

// fallback is what holds without the key; "" where nothing does, or where doc tells it.
func (k keyShape) fallback() string {
	var of []string
	if k.from != "" {
		of = append(of, "that of "+strings.TrimPrefix(k.from, "."))
	}
	switch k.std {
	case "", "{}":
	case "[]":
		of = append(of, "none")
	default:
		of = append(of, k.std)
	}
	return strings.Join(of, ", else ")
}

func fromYAML(text string) (v any) {
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		panic(err) // declared, and read by every test
	}
	return v
}
