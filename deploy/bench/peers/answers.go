package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// late is the share of refusals over a limit that may be something else: a node decides by itself where Redis is late for once.
const late = 0.001

// tally is what a Gatehouse says of its own work: how many answers had which status, and how many tokens it did not remember.
type tally struct {
	codes  map[string]int64 // by status, such as "200"
	misses int64
}

// scrape asks for it.
func scrape(admin string) (tally, error) {
	text, err := metrics(admin)
	if err != nil {
		return tally{}, err
	}
	return parseTally(text)
}

// metrics is what a Gatehouse says of itself, in the text format of Prometheus.
func metrics(admin string) (string, error) {
	res, err := oneOff.Get("http://" + admin + "/metrics")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET /metrics: %s: %s", res.Status, text)
	}
	return string(text), err
}

func parseTally(text string) (t tally, err error) {
	t.codes = map[string]int64{}
	for line := range strings.Lines(text) {
		series, value, _ := cutLast(strings.TrimSpace(line), " ")
		name, labels, _ := strings.Cut(series, "{")
		if name != "gatehouse_requests_total" && series != `gatehouse_token_cache_total{result="miss"}` {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return t, fmt.Errorf("%q: %w", line, err)
		}
		if name != "gatehouse_requests_total" {
			t.misses = int64(n)
			continue
		}
		_, code, _ := strings.Cut(labels, `code="`)
		code, _, ok := strings.Cut(code, `"`)
		if !ok {
			return t, fmt.Errorf("%q has no code", line)
		}
		t.codes[code] += int64(n)
	}
	if len(t.codes) == 0 {
		return t, fmt.Errorf("there is no metric gatehouse_requests_total")
	}
	return t, nil
}

// account is an error unless, between two tallies, all that was served got the statuses that the entry is about, and tokens were
// remembered or not as it wants.
func (e *entry) account(before, after tally, served int64) error {
	var right, wrong int64
	for code, n := range after.codes {
		n -= before.codes[code]
		if code == strconv.Itoa(e.want) || e.beside != nil && code == strconv.Itoa(e.flood) {
			right += n
		} else if !gone(code) && n > 0 {
			wrong += n
		}
	}
	if right < served-wrong || float64(wrong) > e.slack()*float64(served) {
		return fmt.Errorf("of %d answers %d had the status %d, %d another", served, right, e.want, wrong)
	}
	misses := after.misses - before.misses
	if e.fresh && misses < served {
		return fmt.Errorf("of %d tokens only %d were not known from before", served, misses)
	}
	if !e.fresh && e.beside == nil && e.want == 200 && misses > warmCount {
		return fmt.Errorf("%d tokens were not remembered, where all were to be", misses)
	}
	return nil
}

// gone reports whether the status is that of requests whose caller hung up, as wrk does with those under way at its end.
func gone(code string) bool { return code == "499" || code == "4xx" }

// slack is the share of answers that may be other ones than the entry is about.
func (e *entry) slack() float64 {
	if e.want == 429 {
		return late
	}
	return 0
}
