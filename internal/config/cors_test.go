package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	c, _ := loadGood(t, "cors")
	for i, want := range []*CORS{
		{Origins: []string{"https://app.example"}, Methods: []string{"GET"}, Headers: []string{"authorization"}, MaxAge: 10 * time.Minute},
		{Origins: []string{"http://localhost:3000", "capacitor://localhost"}, Methods: []string{"GET", "QUERY"}, Headers: []string{"X-Page"},
			Expose: []string{"ETag", "RateLimit"}, Credentials: true, MaxAge: time.Hour},
		nil,
		{Origins: []string{"*"}, Methods: []string{"GET"}, MaxAge: 10 * time.Minute},
	} {
		if got := c.APIs[i].CORS; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", c.APIs[i].Name, got, want)
		}
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Message, "can't send tokens to b-own") {
		t.Errorf("warnings %+v, want one for the API whose pages can't send tokens", c.Warnings)
	}
}
