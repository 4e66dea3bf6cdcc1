package openapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	maxSize   = 16 << 20 // bytes of one document or of one file that it refers to
	maxFiles  = 256      // that a document refers to
	fetchTime = 20 * time.Second
)

// IsURL reports whether a document is to be fetched.
func IsURL(name string) bool {
	scheme, _, ok := strings.Cut(name, "://")
	return ok && !strings.ContainsAny(scheme, `/\.`)
}

// fetch gets a document over the network: http or https, one answer of at most maxSize bytes, and redirects only
// within the same scheme and host.
func fetch(ctx context.Context, name string) ([]byte, error) {
	u, err := url.Parse(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL", printable(name, 200))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%s: only http and https URLs are fetched", u.Redacted())
	}
	client := &http.Client{
		Timeout: fetchTime,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != u.Scheme || r.URL.Host != u.Host || len(via) > 3 {
				return fmt.Errorf("it is redirected to %s; give that URL if it is the right one", r.URL.Redacted())
			}
			return nil
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/yaml, application/json;q=0.9, */*;q=0.5")
	resp, err := client.Do(req)
	if err != nil {
		var wrapped *url.Error // which repeats the URL, and a password in it
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", u.Redacted(), resp.Status)
	}
	return readAll(resp.Body, u.Redacted())
}

func readAll(r io.Reader, name string) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(content) > maxSize:
		return nil, fmt.Errorf("%s is larger than %d MiB, which is the most that is read", name, maxSize>>20)
	}
	return content, nil
}

// folder is where a document lies. Its references reach files beneath it, through links too, and nothing else.
type folder struct {
	root  *os.Root
	dir   string // as the document's name has it
	files int
}

func openFolder(file string) (*folder, error) {
	dir := filepath.Dir(file)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, plain(err)
	}
	return &folder{root: root, dir: dir}, nil
}

// read reads a file by its name below the folder.
func (f *folder) read(name string) ([]byte, error) {
	shown := filepath.Join(f.dir, name)
	info, err := f.root.Stat(name) // before it is opened, since to open a pipe is to wait for a writer
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown, plain(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", shown)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown, plain(err))
	}
	defer file.Close()
	return readAll(file, shown)
}

// resolve is what the OpenAPI library asks for references to other files, by names relative to the folder.
func (f *folder) resolve(_ *openapi3.Loader, at *url.URL) ([]byte, error) {
	name := filepath.FromSlash(at.Path)
	if at.Scheme != "" || at.Host != "" || at.Opaque != "" || at.RawQuery != "" || !filepath.IsLocal(name) {
		return nil, fmt.Errorf("a $ref leads to %s, and only files in the document's own folder are read", printable(at.Redacted(), 200))
	}
	if f.files++; f.files > maxFiles {
		return nil, fmt.Errorf("$refs lead to more than %d files", maxFiles)
	}
	content, err := f.read(name)
	if err != nil {
		return nil, err
	}
	if err := sane(content); err != nil {
		return content, fmt.Errorf("%s: %w", name, err)
	}
	return content, setTwice(filepath.Join(f.dir, name), asYAML(content))
}

// nothing refuses every reference to another document.
func nothing(_ *openapi3.Loader, at *url.URL) ([]byte, error) {
	return nil, fmt.Errorf("a $ref leads to %s, and a document that is fetched must be whole", printable(at.Redacted(), 200))
}

func plain(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
