package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Health is an active health check: a GET for each endpoint, again and again. A 2xx is well.
type Health struct {
	// Path, with a query where it has one, is asked for as it is: no base path is put in front.
	Path string
	// Interval is the time between two checks, Timeout the longest that one may take.
	Interval, Timeout time.Duration
	// HealthyAfter and UnhealthyAfter are how many checks in a row change the verdict. Zero means 1.
	HealthyAfter, UnhealthyAfter int
}

// maxHealthBody is how much of an answer is read, so that its connection can be used again.
const maxHealthBody = 16 << 10

// healthCheck is the check of one endpoint. An endpoint is well until checks say otherwise.
type healthCheck struct {
	Health
	url  *url.URL
	sick atomic.Bool
	row  int // checks in a row that speak against the verdict; only run uses it
}

// newHealthCheck goes on with the verdict of before, where that was found by the same check.
func newHealthCheck(h *Health, e *endpoint, before *member) *healthCheck {
	u := &url.URL{Scheme: e.url.Scheme, Host: e.url.Host, Opaque: h.Path}
	c := &healthCheck{Health: *h, url: u}
	if before != nil && before.health != nil && before.health.Health == *h {
		c.sick.Store(before.health.sick.Load())
	}
	return c
}

// run checks until ctx ends.
func (c *healthCheck) run(ctx context.Context, e *endpoint) {
	for {
		err := c.check(ctx, e)
		if ctx.Err() != nil {
			return
		}
		c.judge(err, e)
		select {
		case <-ctx.Done():
			return
		case <-time.After(jitter(c.Interval)):
		}
	}
}

// check asks once.
func (c *healthCheck) check(ctx context.Context, e *endpoint) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	u := *c.url
	r := (&http.Request{Method: http.MethodGet, URL: &u, Header: http.Header{"User-Agent": {"gatehouse-health"}}}).WithContext(ctx)
	res, err := e.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("it answered %d", res.StatusCode)
	}
	_, err = io.CopyN(io.Discard, res.Body, maxHealthBody)
	if err == io.EOF {
		err = nil
	}
	return err
}

// judge changes the verdict once enough checks in a row speak against it.
func (c *healthCheck) judge(err error, e *endpoint) {
	if sick := c.sick.Load(); (err != nil) == sick {
		c.row = 0
		return
	}
	c.row++
	if err != nil && c.row >= c.UnhealthyAfter {
		c.row = 0
		c.sick.Store(true)
		e.log.warn("upstream endpoint fails its health checks", "path", c.Path, "error", err.Error())
	}
	if err == nil && c.row >= c.HealthyAfter {
		c.row = 0
		c.sick.Store(false)
		e.log.info("upstream endpoint passes its health checks again", "path", c.Path)
	}
}
