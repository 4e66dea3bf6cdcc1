package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// personality is how an upstream reads what it gets.
type personality string

const (
	// strict takes what RFC 9112 lets a sender write, and nothing else: anything more is a fault of the gateway.
	strict personality = "strict"
	// lenient takes what some server takes: it ends lines at LF, folds lines and names, and reads a path decoded, merged and
	// resolved in every way. That a request is framed once is asked of both, since here such servers disagree.
	lenient personality = "lenient"
)

// wireRequest is a request as its bytes came, parsed without net/http.
type wireRequest struct {
	method, target, version string
	header, trailer         [][2]string
	body                    string
}

// values are those under a name that the personality takes for the one asked for.
func (p personality) values(fields [][2]string, name string) (list []string) {
	for _, f := range fields {
		if strings.EqualFold(f[0], name) || p == lenient && fold(f[0]) == fold(name) {
			list = append(list, f[1])
		}
	}
	return list
}

// paths are the ways in which the personality may read the path of a target.
func (p personality) paths(target string) []string {
	path, _, _ := strings.Cut(target, "?")
	if p == strict {
		return []string{path}
	}
	return foldings(path)
}

// wire is an upstream on a bare socket. It keeps every request and what was wrong with it.
type wire struct {
	addr   string
	p      personality
	mu     sync.Mutex
	list   []wireRequest
	faults []string
}

func newWire(t testing.TB, p personality) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	up := &wire{addr: ln.Addr().String(), p: p}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go up.serve(conn)
		}
	}()
	return up
}

func (up *wire) url(t testing.TB, path string) *url.URL { return mustURL(t, "http://"+up.addr+path) }

func (up *wire) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		req, err := up.read(r, conn)
		if err == io.EOF || err != nil && err != errFault {
			return // the gateway gave up on it, as it does when its client goes away
		}
		up.mu.Lock()
		if err != nil {
			up.faults = append(up.faults, fmt.Sprintf("%+v", req))
		}
		up.list = append(up.list, req)
		up.mu.Unlock()
		if err != nil {
			return
		}
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		if req.method == "HEAD" {
			answer = strings.TrimSuffix(answer, "ok")
		}
		io.WriteString(conn, answer)
	}
}

// take returns what was seen and what was wrong since the last take.
func (up *wire) take() (list []wireRequest, faults []string) {
	up.mu.Lock()
	defer up.mu.Unlock()
	list, faults, up.list, up.faults = up.list, up.faults, nil, nil
	return list, faults
}

// errFault is what no request of the gateway's may be.
var errFault = fmt.Errorf("not a request")

// line reads one line. Strictly it ends with CRLF, and neither stands in it alone.
func (up *wire) line(r *bufio.Reader) (string, error) {
	text, err := r.ReadString('\n')
	if err != nil {
		return text, err
	}
	text, whole := strings.CutSuffix(text, "\r\n")
	if up.p == strict && (!whole || strings.ContainsAny(text, "\r\n\x00")) {
		return text, errFault
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func (up *wire) read(r *bufio.Reader, conn net.Conn) (req wireRequest, err error) {
	first, err := up.line(r)
	if err != nil {
		return req, err
	}
	parts := strings.Split(first, " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" || !strings.HasPrefix(parts[1], "/") || badByte(parts[1], `#\`) != "" {
		req.target = first
		return req, errFault
	}
	req.method, req.target, req.version = parts[0], parts[1], parts[2]
	if req.header, err = up.fields(r); err != nil {
		return req, err
	}
	lengths, codings := up.p.values(req.header, "Content-Length"), up.p.values(req.header, "Transfer-Encoding")
	if len(up.p.values(req.header, "Host")) != 1 || len(lengths)+len(codings) > 1 || len(codings) == 1 && codings[0] != "chunked" {
		return req, errFault
	}
	if len(up.p.values(req.header, "Expect")) > 0 {
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	switch {
	case len(codings) > 0:
		return req, up.chunks(r, &req)
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 31)
		if err != nil {
			return req, errFault
		}
		body := make([]byte, n)
		_, err = io.ReadFull(r, body)
		req.body = string(body)
		return req, err
	}
	return req, nil
}

func (up *wire) chunks(r *bufio.Reader, req *wireRequest) error {
	for {
		head, err := up.line(r)
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(head, 16, 31)
		if err != nil {
			return errFault
		}
		if n == 0 {
			req.trailer, err = up.fields(r)
			return err
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return err
		}
		req.body += string(chunk)
		if end, err := up.line(r); err != nil || end != "" {
			return errFault
		}
	}
}

// fields reads header or trailer fields up to the empty line.
func (up *wire) fields(r *bufio.Reader) (list [][2]string, err error) {
	for {
		text, err := up.line(r)
		if err != nil || text == "" {
			return list, err
		}
		if up.p == lenient && strings.ContainsRune(" \t", rune(text[0])) {
			if len(list) > 0 {
				list[len(list)-1][1] += " " + strings.TrimSpace(text)
			}
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok || up.p == strict && !isPlain(name) {
			return list, errFault
		}
		list = append(list, [2]string{strings.TrimSpace(name), textproto.TrimString(value)})
	}
}
