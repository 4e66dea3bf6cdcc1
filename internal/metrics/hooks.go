package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/exchange"
)

func (m *Metrics) hookSeries() {
	m.hooks = m.counter("gatehouse_hook_requests_total", "Questions to the hooks of APIs, by what became of them.", "api", "result")
	m.hookDuration = m.histogram("gatehouse_hook_duration_seconds", "Time that hooks took to answer, or that was waited for them.", "api")
}

// SetHooks creates the series of the APIs that have a hook, at 0, and deletes those of all others.
func (m *Metrics) SetHooks(apis []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := map[string]bool{}
	for _, api := range apis {
		now[api] = true
		for _, result := range exchange.HookResults() {
			m.hooks.WithLabelValues(api, result)
		}
		m.hookDuration.WithLabelValues(api)
	}
	for api := range m.hooked {
		if !now[api] {
			m.hooks.DeletePartialMatch(prometheus.Labels{"api": api})
			m.hookDuration.DeleteLabelValues(api)
		}
	}
	m.hooked = now
}

// finishHook counts a question. That of an API which a reload has just taken its hook from is not counted.
func (m *Metrics) finishHook(h *exchange.Hook) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hooked[h.API] {
		m.hooks.WithLabelValues(h.API, h.Result).Inc()
		m.hookDuration.WithLabelValues(h.API).Observe(h.Took.Seconds())
	}
}
