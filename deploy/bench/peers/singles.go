package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// single is a figure that is measured once, or that the measuring itself takes the median of.
type single struct {
	key   string // by which goals know it
	what  string
	value float64
	unit  string
}

// once measures figures that no load in rounds gives.
type once struct {
	name    string // that -only chooses by
	measure func(ctx context.Context, r *rig) ([]single, error)
}

func singles() []once {
	return []once{{"G8-memory", measureMemory}, {"G8-soak", measureSoak}, {"G10-start", measureStarts}}
}

const (
	scavenged = 5 * time.Second // until the runtime has given back what a collection freed
	idleConns = 2000
	mebi      = 1 << 20
)

// measureMemory is what an idle Gatehouse has resident, and what connections and a million revocations add to it.
func measureMemory(ctx context.Context, r *rig) (out []single, err error) {
	if r.redisAddr == "" {
		if err := r.startRedis(ctx); err != nil {
			return nil, err
		}
	}
	large := shape{limit: true, routes: 200, clients: 10_000}
	idle, busy, err := resident(ctx, r, large, "memory", idleConns)
	if err != nil {
		return nil, err
	}
	large.revoked = true
	revoked, _, err := resident(ctx, r, large, "memory-revoked", 0)
	if err != nil {
		return nil, err
	}
	return []single{
		{"rss", "resident, idle, 200 routes and 10 000 clients", float64(idle.own+idle.mapped) / mebi, "MiB"},
		{"rss-own", "… of that, of its own and not mapped files", float64(idle.own) / mebi, "MiB"},
		{"conn", fmt.Sprintf("of its own, per idle connection, of %d", idleConns), float64(busy.own-idle.own) / idleConns / 1024, "KiB"},
		{"revoked", "of its own, that a million revocations add", float64(revoked.own-idle.own) / mebi, "MiB"},
		{"revoked-mapped", "… and mapped pages of their journal, which the kernel takes back when it wants them", float64(revoked.mapped-idle.mapped) / mebi, "MiB"},
	}, nil
}

// resident is the memory of an idle Gatehouse of the shape, and of the same with so many idle connections, on each of which a
// request of a public route was answered.
func resident(ctx context.Context, r *rig, s shape, name string, conns int) (idle, busy memory, err error) {
	dir, err := r.dir(name)
	if err != nil {
		return idle, busy, err
	}
	server, err := s.gatehouse(ctx, r, r.binaries[0].path, dir)
	if err != nil {
		return idle, busy, err
	}
	defer server.stop()
	if idle, err = rested(ctx, server); err != nil || conns == 0 {
		return idle, idle, err
	}
	for range conns {
		conn, err := oneRequest(server.addr, pathOpen)
		if err != nil {
			return idle, busy, err
		}
		defer conn.Close()
	}
	busy, err = rested(ctx, server)
	return idle, busy, err
}

// rested is what a server has resident after some minutes without work, in each two of which the runtime collects once. Here it
// is told to.
func rested(ctx context.Context, s *server) (memory, error) {
	for range 2 {
		if err := answers("http://" + s.admin + "/debug/pprof/heap?gc=1")(); err != nil {
			return memory{}, err
		}
	}
	if err := pause(ctx, scavenged); err != nil {
		return memory{}, err
	}
	return s.memory()
}

// oneRequest opens a connection, has one GET answered on it and leaves it open.
func oneRequest(addr, path string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr); err == nil {
		var res *http.Response
		if res, err = http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil); err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusOK || res.Close {
				err = fmt.Errorf("GET %s: %s, and the connection stays: %t", path, res.Status, !res.Close)
			}
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// measureStarts runs the benchmark of starts, of the tree and not of a -gatehouse, on all cores.
func measureStarts(ctx context.Context, r *rig) ([]single, error) {
	out, err := output(ctx, filepath.Join(r.repo), "go", "test", "-run", "^$", "-bench", "^BenchmarkStart$", "-benchtime", "7x", "./cmd/gatehouse")
	if err != nil {
		return nil, err
	}
	return parseStarts(out)
}

// parseStarts reads the medians of BenchmarkStart.
func parseStarts(out string) (list []single, err error) {
	keys := map[string]string{"small": "start-small", "million_revocations": "start-revoked", "2000_routes,_10000_clients": "start-large"}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) == 0 || !strings.HasPrefix(f[0], "BenchmarkStart/") {
			continue
		}
		name := strings.TrimPrefix(f[0], "BenchmarkStart/")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		for i := 1; i < len(f); i++ {
			if f[i] != "ms-median" {
				continue
			}
			v, err := strconv.ParseFloat(f[i-1], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			list = append(list, single{keys[name], "start until ready: " + strings.ReplaceAll(name, "_", " "), v, "ms"})
		}
	}
	if len(list) == 0 {
		return nil, errors.New("BenchmarkStart said nothing of how long a start takes")
	}
	return list, nil
}
