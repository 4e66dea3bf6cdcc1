package openapi

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	maxMarks      = 1_500_000 // of ':', ',' and line ends: each may stand for a node in memory
	maxOperations = 10_000
)

// Options are what Read may be told.
type Options struct {
	// Quick leaves out the validation of what no route depends on, such as schemas.
	Quick bool
}

// Read reads the document in a local file, or behind an http or https URL. A file's references may lead to files beneath its
// folder; a fetched document must be whole. An error that concerns places in the document is of type Errors. What is
// wrong with the document and touches no route is a warning.
func Read(ctx context.Context, name string, o Options) (d *Document, err error) {
	defer func() { // the library walks what strangers wrote
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("%s can't be read: the OpenAPI library gave up on it (%v)", shown(name), printable(fmt.Sprint(p), 200))
		}
	}()
	loader := openapi3.NewLoader()
	loader.Context = ctx
	loader.IncludeOrigin = true
	loader.ReadFromURIFunc = nothing
	var content []byte
	at := &url.URL{Path: "openapi"}
	if IsURL(name) {
		content, err = fetch(ctx, name)
	} else {
		f, openErr := openFolder(name)
		if openErr != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Dir(name), openErr)
		}
		defer f.root.Close()
		loader.ReadFromURIFunc = f.resolve
		at.Path = filepath.Base(name)
		content, err = f.read(at.Path)
	}
	if err != nil {
		return nil, err
	}
	return parse(loader, shown(name), at, content, o)
}

// shown is a document's name for messages: a URL without its password.
func shown(name string) string {
	if u, err := url.Parse(name); err == nil && IsURL(name) {
		return u.Redacted()
	}
	return name
}

// sane refuses a text whose tree would not fit into memory.
func sane(content []byte) error {
	marks := 0
	for _, c := range []string{":", ",", "\n"} {
		marks += bytes.Count(content, []byte(c))
	}
	if marks > maxMarks {
		return fmt.Errorf("it has more than %d lines, keys and members, which is the most that is read", maxMarks)
	}
	return nil
}

func parse(loader *openapi3.Loader, name string, at *url.URL, content []byte, o Options) (*Document, error) {
	if err := sane(content); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	content = asYAML(content)
	if err := setTwice(name, content); err != nil {
		return nil, err
	}
	t, err := loader.LoadFromDataWithPath(content, at)
	if err != nil {
		return nil, fmt.Errorf("%s is no OpenAPI document that can be read: %s", name, printable(err.Error(), 400))
	}
	r := &reading{t: t, doc: &Document{File: name, Version: t.OpenAPI, Scopes: make(map[string]string)}, root: at.Path}
	if t.Info != nil {
		r.doc.Title = t.Info.Title
	}
	switch {
	case t.OpenAPIMajorMinor() != "3.0" && t.OpenAPIMajorMinor() != "3.1":
		return nil, fmt.Errorf("%s says openapi: %q — what is read is 3.0 and 3.1%s", name, printable(t.OpenAPI, 40), older(t))
	case t.Origin == nil:
		return nil, fmt.Errorf("%s: some key holds characters that YAML does not have, so that readers would not agree on what it says — correct it first", name)
	}
	r.schemes()
	r.operations()
	r.server()
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	if !o.Quick {
		err := t.Validate(loader.Context, openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation(), openapi3.DisableSchemaDefaultsValidation())
		if err != nil {
			r.warn(Pos{File: name}, "the document is not valid, in a place that no route depends on: %s", printable(err.Error(), 300))
		}
	}
	return r.doc, nil
}

func older(t *openapi3.T) string {
	if _, swagger := t.Extensions["swagger"]; swagger {
		return "; this is Swagger 2.0, which converters turn into 3.0"
	}
	return ""
}

// reading is a document while it is read.
type reading struct {
	t    *openapi3.T
	doc  *Document
	root string // the document's name for the library
	errs Errors
}

const maxNotes = 200 // errors and warnings of each document

func (r *reading) fail(at Pos, format string, args ...any) {
	if len(r.errs) < maxNotes {
		r.errs = append(r.errs, Note{at, fmt.Sprintf(format, args...)})
	}
}

func (r *reading) warn(at Pos, format string, args ...any) {
	r.doc.warn(at, format, args...)
}

func (d *Document) warn(at Pos, format string, args ...any) {
	if len(d.Warnings) < maxNotes {
		d.Warnings = append(d.Warnings, Note{at, fmt.Sprintf(format, args...)})
	}
}

// at is where a key of an object stands, else the object.
func (r *reading) at(o *openapi3.Origin, key string) Pos {
	if o == nil {
		return Pos{File: r.doc.File}
	}
	if l, ok := o.Fields.Lookup(key); ok && key != "" {
		return r.place(l)
	}
	if o.Key == nil {
		return Pos{File: r.doc.File}
	}
	return r.place(*o.Key)
}

func (r *reading) place(l openapi3.Location) Pos {
	file := r.doc.File
	if name, err := url.PathUnescape(l.File); err == nil && name != "" && name != r.root && !strings.Contains(file, "://") {
		file = filepath.Join(filepath.Dir(file), filepath.FromSlash(name))
	}
	return Pos{printable(file, 300), l.Line, l.Column}
}
