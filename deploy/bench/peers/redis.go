package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const million = 1_000_000

// startRedis starts an empty one that keeps nothing, on the core of the load.
func (r *rig) startRedis(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	dir, err := r.dir("redis")
	if err != nil {
		return err
	}
	p, err := launch(dir, loadCore, nil, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir)
	if err != nil {
		return err
	}
	r.redisAddr, r.running = loopback(port), append(r.running, p)
	if err := p.await(ctx, listens(r.redisAddr)); err != nil {
		return err
	}
	if r.revokedUntil, err = keptTime(filepath.Join(r.work, "revoked-until")); err != nil {
		return err
	}
	if err := fillRevocations(r.redisAddr, r.revokedUntil); err != nil {
		return fmt.Errorf("%w (%s)", err, filepath.Base(p.log))
	}
	return nil
}

// keptTime is when the first of the revocations expires: that in the file, so that a journal that was kept holds the same ones, or
// one that is put there where the file's is not far enough ahead.
func keptTime(path string) (int64, error) {
	now := time.Now()
	if b, err := os.ReadFile(path); err == nil {
		if kept, err := strconv.ParseInt(string(b), 10, 64); err == nil && kept > now.Add(30*time.Minute).Unix() {
			return kept, nil
		}
	}
	expires := now.Add(3 * time.Hour).Unix()
	return expires, os.WriteFile(path, strconv.AppendInt(nil, expires, 10), 0o600)
}

// fillRevocations puts a million revoked tokens into the set that every node of the fleet "million" takes over when it starts. They
// expire from then on, in the better part of a day, and are the same ones whenever that is the same.
func fillRevocations(addr string, expires int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	const batch = 1000
	replies := make(chan error, 1)
	go func() {
		in := bufio.NewReader(conn)
		for range million / batch {
			if line, err := in.ReadString('\n'); err != nil || line[0] != ':' {
				replies <- fmt.Errorf("redis answered %q to ZADD: %w", line, err)
				return
			}
		}
		replies <- nil
	}()
	var b bytes.Buffer
	ids := rand.NewChaCha8(sha256.Sum256(strconv.AppendInt(nil, expires, 10)))
	for i := range million / batch {
		b.Reset()
		fmt.Fprintf(&b, "*%d\r\n", 2+2*batch)
		bulk(&b, []byte("ZADD"))
		bulk(&b, []byte("million:{rev}:jti"))
		for j := range batch {
			var id [16]byte
			ids.Read(id[:])
			bulk(&b, strconv.AppendInt(nil, expires+int64(i*batch+j)*70_000/million, 10))
			bulk(&b, id[:])
		}
		if _, err := conn.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return <-replies
}

func bulk(b *bytes.Buffer, p []byte) {
	fmt.Fprintf(b, "$%d\r\n%s\r\n", len(p), p)
}

// traffic is what a Redis has been asked so far.
type traffic struct {
	scripts int64 // runs of scripts: a rate limit's takes, and the heartbeats
	reads   int64 // times that it read from a connection: round trips, for a client that sends its batches whole
}

// redisTraffic asks it.
func redisTraffic(addr string) (t traffic, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return t, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("INFO stats\r\n")); err != nil {
		return t, err
	}
	stats, err := readBulk(bufio.NewReader(conn))
	if err != nil {
		return t, err
	}
	if _, err := conn.Write([]byte("INFO commandstats\r\n")); err != nil {
		return t, err
	}
	commands, err := readBulk(bufio.NewReader(conn))
	if err != nil {
		return t, err
	}
	return parseTraffic(stats, commands)
}

func readBulk(in *bufio.Reader) (string, error) {
	head, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
	if err != nil {
		return "", fmt.Errorf("redis answered %q to INFO", head)
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(in, b)
	return string(b[:n]), err
}

func parseTraffic(stats, commands string) (t traffic, err error) {
	found := false
	for line := range strings.Lines(stats) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "total_reads_processed:"); ok {
			if t.reads, err = strconv.ParseInt(v, 10, 64); err != nil {
				return t, err
			}
			found = true
		}
	}
	if !found {
		return t, errors.New("this redis does not count its reads: it is older than 6")
	}
	for line := range strings.Lines(commands) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), ":calls=")
		if name != "cmdstat_evalsha" && name != "cmdstat_eval" && name != "cmdstat_fcall" {
			continue
		}
		calls, _, _ := strings.Cut(v, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return t, err
		}
		t.scripts += n
	}
	return t, nil
}
