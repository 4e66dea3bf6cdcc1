package statuspage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	streamEvery = time.Second
	streamWrite = 5 * time.Second // whoever reads slower is cut
	streamEnd   = 15 * time.Minute
	mostStreams = 32
)

// hello has browsers come again soon where a stream ends, which a page then does not show as trouble.
const hello = "retry: 1000\n\n"

// stream sends the parts of a page that have changed, each second, as they are rendered for the page. It ends when the process
// drains, when the login ends, and after a while in any case: browsers then come again.
func (p *Page) stream(w http.ResponseWriter, r *http.Request, _ visitor) {
	name := r.URL.Query().Get("page")
	set := templates[name]
	if set == nil {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	if p.streams.Add(1) > mostStreams || p.o.Draining() {
		p.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many pages are open, or this node is about to end", http.StatusServiceUnavailable)
		return
	}
	defer p.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx in front would keep events back until a buffer is full
	out := http.NewResponseController(w)
	sent := map[string]string{}
	end := time.NewTimer(streamEnd)
	defer end.Stop()
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	for {
		v, ok := p.visitor(r)
		if !ok || p.o.Draining() {
			return
		}
		message, err := p.changes(name, r, v, sent)
		if err != nil || out.SetWriteDeadline(time.Now().Add(p.patience)) != nil {
			return
		}
		if _, err := w.Write(message); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// changes are the events for what differs from what was sent. There is one always, so that a reader who has gone is noticed.
func (p *Page) changes(name string, r *http.Request, v visitor, sent map[string]string) ([]byte, error) {
	f := p.frame(name, "", v)
	f.Body = p.moving(name, r.URL.Query())
	var message bytes.Buffer
	if len(sent) == 0 {
		message.WriteString(hello)
	}
	if sent["form"] != v.form { // the forms of a page outlive a restart of the process, and another login
		sent["form"] = v.form
		fmt.Fprintf(&message, "event: form\ndata: %q\n\n", v.form) // base32: one line, and JSON
	}
	for _, part := range append([]string{"banners", "state"}, live[name]...) {
		var html bytes.Buffer
		if err := templates[name].ExecuteTemplate(&html, part, f); err != nil {
			return nil, err
		}
		text := html.String()
		if was, ever := sent[part]; !ever || was != text {
			sent[part] = text
			data, err := json.Marshal(text) // on one line
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&message, "event: part\ndata: {\"part\":%q,\"html\":%s}\n\n", part, data)
		}
	}
	message.WriteString("event: beat\ndata: {}\n\n")
	return message.Bytes(), nil
}
