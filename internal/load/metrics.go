package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxMetrics    = 64 << 20 // of one scrape, in bytes
	scrapeTimeout = 10 * time.Second
)

// Metrics are the samples of one scrape, by their series as it is written, such as `name{label="x"}`.
type Metrics map[string]float64

// Scrape reads the text format of Prometheus from a URL.
func Scrape(ctx context.Context, url string) (Metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, res.Status)
	}
	m := Metrics{}
	lines := bufio.NewScanner(io.LimitReader(res.Body, maxMetrics))
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ') // the gateway writes no timestamps
		if at < 0 || line[0] == '#' {
			continue
		}
		if m[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			return nil, fmt.Errorf("%s: %q is no sample", url, line)
		}
	}
	return m, lines.Err()
}

// UsageAt reads what a Go process has used from its metrics, for Options.
func UsageAt(url string) func(context.Context) (Usage, error) {
	return func(ctx context.Context) (Usage, error) {
		m, err := Scrape(ctx, url)
		if err != nil {
			return Usage{}, err
		}
		cpu, some := m["process_cpu_seconds_total"]
		mallocs, all := m["go_memstats_mallocs_total"]
		if !some || !all {
			return Usage{}, fmt.Errorf("%s does not say what the process has used", url)
		}
		return Usage{CPU: cpu, Mallocs: mallocs}, nil
	}
}
