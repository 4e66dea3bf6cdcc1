package tokenep

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func FuzzParseForm(f *testing.F) {
	for _, s := range []string{"", "grant_type=client_credentials&scope=a+b", "a=1&a=2", "a;b", "%zz", "resource=a&resource=b", "=", "a", "scope=%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, ref := parseForm([]byte(body))
		if ref != nil {
			checkRefusal(t, ref)
			return
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("parseForm(%q) took what is not well formed", body)
		}
		for name, list := range want {
			if name == "resource" {
				continue
			}
			if len(list) != 1 || got.get(name) != list[0] {
				t.Fatalf("parseForm(%q): %q is %q, want %q", body, name, got.get(name), list)
			}
		}
		checkForm(t, got)
	})
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{"", "{}", `{"a":"b"}`, `{"a":"b","a":"c"}`, `{"a":1}`, `{"a":"b"}x`, `{"a":"b",}`, `[]`, `{"resource":"x"}`, `{"\u0061":"\ud800"}`, "\xef\xbb\xbf{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, ref := parseJSON([]byte(body))
		if ref != nil {
			checkRefusal(t, ref)
			return
		}
		var want map[string]string
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("parseJSON(%q) took what encoding/json refuses: %v", body, err)
		}
		for name, value := range want {
			if name != "resource" && got.get(name) != value {
				t.Fatalf("parseJSON(%q): %q is %q, want %q", body, name, got.get(name), value)
			}
		}
		checkForm(t, got)
	})
}

// FuzzReadForm is the request parser as a whole: what is taken was said to be a form or JSON, and is read as such.
func FuzzReadForm(f *testing.F) {
	for _, media := range []string{"application/x-www-form-urlencoded", "application/json; charset=UTF-8", "Application/JSON", "text/plain", "application/json;;", ""} {
		f.Add(media, "grant_type=client_credentials&resource=a&resource=b")
		f.Add(media, `{"grant_type":"client_credentials"}`)
	}
	f.Add("application/json", strings.Repeat(" ", maxBody)+"{}")
	f.Fuzz(func(t *testing.T, media, body string) {
		r, err := http.NewRequest(http.MethodPost, "/oauth/token?grant_type=query", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", media)
		got, ref := readForm(nil, r)
		if len(body) > maxBody && ref == nil {
			t.Fatalf("took a body of %d bytes", len(body))
		}
		if ref != nil {
			if ref.status != http.StatusRequestEntityTooLarge {
				checkRefusal(t, ref)
			}
			return
		}
		checkForm(t, got)
		parse, kind := parseJSON, "json"
		if !strings.Contains(strings.ToLower(media), "application/json") {
			parse, kind = parseForm, "x-www-form-urlencoded"
		}
		want, wantRef := parse([]byte(body))
		if wantRef != nil || !reflect.DeepEqual(got, want) || !strings.Contains(strings.ToLower(media), kind) {
			t.Fatalf("readForm(%q, %q) = %v, want %v", media, body, got, want)
		}
	})
}

func FuzzParseBasic(f *testing.F) {
	for _, s := range []string{"", ":", "a:b", "a%3Ab:c+d", "a%zz:x", "a:b:c", "a\x00:b", "é:é"} {
		f.Add(base64.StdEncoding.EncodeToString([]byte(s)))
	}
	f.Add("!!!")
	f.Fuzz(func(t *testing.T, encoded string) {
		readings := parseBasic(encoded)
		if len(readings) > 2 {
			t.Fatalf("parseBasic(%q) has %d readings", encoded, len(readings))
		}
		decoded, _ := base64.StdEncoding.DecodeString(encoded)
		id, secret, _ := strings.Cut(string(decoded), ":")
		for _, c := range readings {
			decodedID, _ := url.QueryUnescape(id)
			if c != (credentials{id, secret}) && c.id != decodedID || c.id == "" || c.secret == "" || strings.ContainsAny(c.id+c.secret, "\x00\r\n") {
				t.Fatalf("parseBasic(%q) = %q", encoded, readings)
			}
			// Who encodes as RFC 6749 section 2.3.1 asks is read first as what was meant.
			again := parseBasic(base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.id) + ":" + url.QueryEscape(c.secret))))
			if len(again) == 0 || again[0] != c {
				t.Fatalf("%q comes back as %q", c, again)
			}
		}
	})
}

func checkForm(t *testing.T, f form) {
	t.Helper()
	for name, value := range f.values {
		if value == "" || name == "resource" {
			t.Fatalf("form holds %q = %q", name, value)
		}
	}
	for _, r := range f.resources {
		if r == "" {
			t.Fatal("form holds an empty resource")
		}
	}
}

func checkRefusal(t *testing.T, ref *refusal) {
	t.Helper()
	if ref.status != 400 || ref.word != invalidRequest || strings.Trim(ref.description, " !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
		t.Fatalf("refusal %+v", ref)
	}
}
