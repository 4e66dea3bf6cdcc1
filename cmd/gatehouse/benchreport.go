package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"time"

	"gatehouse/internal/load"
)

// benchReport is the document of bench -o json. What is not known is null.
type benchReport struct {
	Scenario    string            `json:"scenario"`
	Gateway     string            `json:"gateway"` // embedded, redis, or the URL of --target
	Version     string            `json:"version"` // of this program
	CPUs        int               `json:"cpus"`    // that the load may use, and the gateway where bench started it
	Concurrency int               `json:"concurrency"`
	Rate        float64           `json:"rate"`    // asked for; 0: as fast as possible
	Seconds     float64           `json:"seconds"` // that were measured
	Requests    uint64            `json:"requests"`
	PerSecond   float64           `json:"requests_per_second"`
	Latency     benchLatency      `json:"latency_ms"`
	Statuses    map[string]uint64 `json:"statuses"`
	Unexpected  []load.Unexpected `json:"unexpected"`
	CPU         *float64          `json:"cpu_us_per_request"` // of the gateway
	Allocations *float64          `json:"allocations_per_request"`
}

type benchLatency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// document makes the report that is printed.
func (f *benchFlags) document(r *load.Report) benchReport {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	d := benchReport{Scenario: f.scenario, Gateway: f.target, Version: version, CPUs: runtime.GOMAXPROCS(0), Concurrency: f.concurrency, Rate: f.rate,
		Seconds: r.Elapsed.Seconds(), Requests: r.Requests(), PerSecond: r.PerSecond(), Statuses: map[string]uint64{}, Unexpected: r.Unexpected,
		Latency: benchLatency{ms(r.Latency.Quantile(.5)), ms(r.Latency.Quantile(.95)), ms(r.Latency.Quantile(.99)), ms(r.Latency.Max())}}
	switch {
	case f.target == "" && f.redis:
		d.Gateway = "redis"
	case f.target == "":
		d.Gateway = "embedded"
	}
	for status, n := range r.Statuses {
		d.Statuses[fmt.Sprint(status)] = n
	}
	if r.Used != nil && d.Requests > 0 {
		cpu, mallocs := r.Used.CPU*1e6/float64(d.Requests), r.Used.Mallocs/float64(d.Requests)
		d.CPU, d.Allocations = &cpu, &mallocs
	}
	return d
}

// print prints what was measured.
func (f *benchFlags) print(w io.Writer, r *load.Report) error {
	d := f.document(r)
	if isDocument(f.output) {
		return printDocument(w, f.output, d)
	}
	p := func(format string, args ...any) { fmt.Fprintln(w, harmless(fmt.Sprintf(format, args...))) }
	gateway := map[string]string{"embedded": "its own, embedded state", "redis": "its own, with a redis-server"}[d.Gateway]
	if gateway == "" {
		gateway = d.Gateway
	}
	pace := "as fast as possible"
	if f.rate > 0 {
		pace = fmt.Sprintf("at %.10g/s", f.rate)
	}
	p("scenario    %s, %d connections, %s, for %.1f s", d.Scenario, d.Concurrency, pace, d.Seconds)
	p("gateway     %s; %s, %d CPUs for all", gateway, versionLine(), d.CPUs)
	p("requests    %d, %.1f/s", d.Requests, d.PerSecond)
	p("latency     p50 %.2f ms, p95 %.2f ms, p99 %.2f ms, max %.2f ms", d.Latency.P50, d.Latency.P95, d.Latency.P99, d.Latency.Max)
	if d.CPU != nil {
		p("cost        %.1f µs of CPU and %.1f allocations a request, of the gateway alone", *d.CPU, *d.Allocations)
	}
	for i, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		name := "statuses"
		if i > 0 {
			name = ""
		}
		p("%-11s %d %s: %d", name, status, http.StatusText(status), r.Statuses[status])
	}
	if f.rate > 0 && d.PerSecond < f.rate*.95 {
		p("behind      the rate that was asked for was not reached: latency has what requests waited for")
	}
	for i, u := range d.Unexpected {
		name := "unexpected"
		if i > 0 {
			name = ""
		}
		p("%-11s %s: wanted %s, got %s: %d", name, u.Request, u.Want, u.Got, u.Count)
	}
	return nil
}
