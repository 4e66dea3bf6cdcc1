package statuspage

import (
	"fmt"
	"html/template"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gatehouse/internal/trace"
)

// funcs are what templates call. Texts that come from outside go through shown or clean besides the escaping of html/template, so
// that nothing turns the direction of the text around it.
var funcs = template.FuncMap{
	"shown": shown, "clean": clean, "span": span, "ago": ago, "clock": clock, "stamp": stamp, "number": func(n int) string { return count(int64(n)) }, "moment": moment, "day": day, "rate": rate, "took": took, "percent": percent, "count": count,
	"share": share, "plural": plural, "label": func(c trace.Check) string { return c.Label() }, "join": strings.Join,
	"age": age, "seconds": func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }, "curl": curl, "short": trace.ShortKey, "example": example,
	"secretState": secretState, "terse": terse.Replace, "behind": behind, "base": filepath.Base,
}

// terse leaves out of a duration what is nothing.
var terse = strings.NewReplacer("h0m0s", "h", "m0s", "m")

// shown is a text of a caller, or of the configuration.
func shown(s string) string { return trace.Shown(s) }

// clip is what is shown again of a query or a form.
func clip(s string) string { return clean(s[:min(len(s), 200)]) }

// clean is a text of ours that may hold words of somebody else: letters of all languages stay.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r != '\n' && (!unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	const most = 4000
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// span is a time for people: two units at most.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d.Round(time.Second)/time.Second)
	case d < time.Hour:
		return units(d.Round(time.Second), time.Minute, "m", time.Second, "s")
	case d < 48*time.Hour:
		return units(d.Round(time.Minute), time.Hour, "h", time.Minute, "m")
	}
	return units(d.Round(time.Hour), 24*time.Hour, "d", time.Hour, "h")
}

func units(d, large time.Duration, l string, small time.Duration, s string) string {
	text := fmt.Sprintf("%d %s", d/large, l)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, s)
	}
	return text
}

// ago is how long before now a moment was, in one unit: it stands in columns, and should not change each second for long.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d m ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	default:
		return fmt.Sprintf("%d d ago", d/(24*time.Hour))
	}
}

// behind is how far a node's revocations are behind the last there are.
func behind(seconds *float64) string {
	switch {
	case seconds == nil:
		return "reading all anew"
	case *seconds == 0:
		return "up to date"
	}
	return "behind by " + span(time.Duration(*seconds*float64(time.Second)))
}

// stamp is a time for programs that read the page.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// moment is a time to the second; nothing for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// age is how old something is that was made on a day that somebody wrote down.
func age(created string, now time.Time) string {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, created); err == nil {
			days := int(now.Sub(t).Hours() / 24)
			if days < 1 {
				return "today"
			}
			return fmt.Sprintf("%d %s", days, plural("day", days))
		}
	}
	return ""
}

// rate is a number each second, with as many digits as are worth reading.
func rate(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 10:
		return fmt.Sprintf("%.1f", max(x, .1))
	case x < 10_000:
		return count(int64(x + .5))
	}
	return fmt.Sprintf("%.1fk", x/1000)
}

// took is a time that a request took; a dash for none.
func took(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case d == 0:
		return "–"
	case ms < 1:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.2f s", ms/1000)
	}
}

// share is n of all, from 0 to 1.
func share(n, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}

func percent(x float64) string {
	switch {
	case x == 0:
		return "0 %"
	case x < .001:
		return "< 0.1 %"
	case x < .1:
		return fmt.Sprintf("%.1f %%", x*100)
	}
	return fmt.Sprintf("%.0f %%", x*100)
}

// count groups digits by thousands.
func count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

func plural(noun string, n int) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// secretState is whether a secret is good now, in words.
func secretState(s Secret, now time.Time) string {
	switch {
	case !s.NotAfter.IsZero() && now.After(s.NotAfter):
		return "ended"
	case now.Before(s.NotBefore):
		return "not yet"
	}
	return "good"
}

// curl is a command that gets a token for a client, to be pasted into a shell that holds its secret.
func curl(c *Client, g Grant) string {
	how := ""
	switch id := quote("client_id=" + c.ID); {
	case c.byCertificate():
		how = `--cert "$GATEHOUSE_CLIENT_CERT" --key "$GATEHOUSE_CLIENT_KEY" --data-urlencode ` + id
	case c.Auth == "client_secret_post":
		how = "--data-urlencode " + id + ` --data-urlencode "client_secret=$GATEHOUSE_CLIENT_SECRET"`
	default:
		how = "-u " + quote(url.QueryEscape(c.ID)+":") + `"$GATEHOUSE_CLIENT_SECRET"`
	}
	return "curl -s " + how + " \\\n  -d grant_type=client_credentials --data-urlencode " + quote("audience="+g.Audience) + " \\\n  " + quote(c.TokenURL)
}

// byCertificate reports whether the client shows a certificate in the TLS handshake.
func (c *Client) byCertificate() bool {
	return c.Auth == "tls_client_auth" || c.Auth == "self_signed_tls_client_auth"
}

// CurlNeeds is what the shell must hold for the curl line; "" where curl can't do it.
func (c *Client) CurlNeeds() string {
	switch {
	case c.byCertificate():
		return "GATEHOUSE_CLIENT_CERT and GATEHOUSE_CLIENT_KEY name the files of its certificate and of the key"
	case c.Auth == "private_key_jwt", len(c.Secrets) == 0:
		return ""
	}
	return "GATEHOUSE_CLIENT_SECRET holds the secret"
}

// quote is a word for a shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:=,@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// example fills the wildcards of a pattern, for a path to try.
func example(pattern string) string {
	parts := strings.Split(pattern, "/")
	for i, s := range parts {
		switch {
		case s == "{$}" || strings.HasSuffix(s, "...}"):
			parts[i] = ""
		case strings.HasPrefix(s, "{"):
			parts[i] = "1"
		}
	}
	return strings.Join(parts, "/")
}
