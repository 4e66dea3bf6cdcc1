package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// oneOff keeps no connections: what it asks is started and ended all the time.
var oneOff = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// probe sends one request of the load, several times where a limit lets the first ones of a client through, until the status is
// the one that is wanted.
func probe(addr string, l *load, want int) error {
	var status string
	for range 3 {
		req, err := http.NewRequest(l.method, "http://"+addr+l.path, strings.NewReader(l.form))
		if err != nil {
			return err
		}
		if l.form != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if l.basic != "" {
			req.Header.Set("Authorization", l.basic)
		}
		if l.tokens != "" {
			token, err := firstLine(l.tokens)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := oneOff.Do(req)
		if err != nil {
			return err
		}
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		res.Body.Close()
		if res.StatusCode == want {
			return nil
		}
		status = res.Status + " " + string(body)
	}
	return fmt.Errorf("%s %s: wanted status %d, got %s", l.method, l.path, want, status)
}

func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Scan()
	return s.Text(), s.Err()
}

// fetchProfile has the Gatehouse behind admin write a CPU profile of so long, and closes what it returns when it is there.
func fetchProfile(ctx context.Context, admin, path string, length time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, max(1, int(length.Seconds())))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return
		}
		res, err := oneOff.Do(req)
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
	return done
}
