package gcs

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
)

func list(t *testing.T, c *Client, prefix string) (map[string]int64, error) {
	t.Helper()
	all := map[string]int64{}
	for object, err := range c.List(t.Context(), prefix) {
		if err != nil {
			return all, err
		}
		if _, twice := all[object.Name]; twice {
			t.Errorf("got %q twice", object.Name)
		}
		all[object.Name] = object.Size
	}
	return all, nil
}

func TestList(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.PageObjects = 7
	want := map[string]int64{}
	for i := range 50 {
		name := fmt.Sprintf("faq/3/größe %d%%", i)
		s.Put("models", name, make([]byte, i))
		want[name] = int64(i)
	}
	s.Put("models", "faq/30", []byte("x"))
	c := connect(t, s, "models")
	if got, err := list(t, c, "faq/3/"); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := list(t, c, "none/"); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := list(t, c, ""); err != nil || len(got) != 51 {
		t.Errorf("got %d, %v", len(got), err)
	}
	for object, err := range c.List(t.Context(), "") { // and no more pages
		if object.Name == "" || err != nil {
			t.Errorf("got %v, %v", object, err)
		}
		break
	}
	_, err := list(t, connect(t, s, "other"), "")
	refused(t, err, http.StatusNotFound, "The specified bucket does not exist.")
}

func TestListsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"another prefix", `{"items":[{"name":"elsewhere","size":"1"}]}`, `an object "elsewhere" that was not asked for`},
		{"no name", `{"items":[{"size":"1"}]}`, `an object "" that was not asked for`},
		{"no size", `{"items":[{"name":"faq/a"}]}`, `the size "": want a number of bytes`},
		{"below nothing", `{"items":[{"name":"faq/a","size":"-1"}]}`, `the size "-1"`},
		{"a number", `{"items":[{"name":"faq/a","size":1}]}`, "cannot be read"},
		{"no JSON", `<html>`, "cannot be read"},
		{"in circles", `{"nextPageToken":"x"}`, "does not get on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.Intercept = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, tt.body) }
			if _, err := list(t, connect(t, s, "models"), "faq/"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// An answer that does not end is not kept.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Intercept = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for line := strings.Repeat(" ", 1<<20); ; {
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
	}
	c := connect(t, s, "models")
	if _, err := list(t, c, ""); err == nil || !strings.Contains(err.Error(), "longer than 8388608 bytes") {
		t.Errorf("list: got %v", err)
	}
	if _, err := c.Size(t.Context(), "model"); err == nil || !strings.Contains(err.Error(), "longer than 8388608 bytes") {
		t.Errorf("size: got %v", err)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Put("models", "model", make([]byte, 12345))
	c := connect(t, s, "models")
	if size, err := c.Size(t.Context(), "model"); size != 12345 || err != nil {
		t.Errorf("got %d, %v", size, err)
	}
	_, err := c.Size(t.Context(), "none")
	refused(t, err, http.StatusNotFound, "No such object: models/none")
	if answer := err.(*Error); answer.NoBucket() {
		t.Error("got that the bucket is not there")
	}
	for body, want := range map[string]string{`{}`: `the object has the size ""`, `[]`: "cannot be read", `{"size":"1e3"}`: `the size "1e3"`} {
		other := serve(t)
		other.Intercept = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, body) }
		if _, err := connect(t, other, "models").Size(t.Context(), "model"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(`{"items":[{"name":"faq/a","size":"1"},{"name":"faq/ü","size":"9223372036854775807"}],"nextPageToken":"x"}`), "faq/")
	f.Add([]byte(`{"items":[{"name":"faq/a","size":"9223372036854775808"}]}`), "")
	f.Add([]byte(`{"items":[{"name":"\ud800","size":"0x1"}]}`), "")
	f.Add([]byte(`{}`), "")
	f.Fuzz(func(t *testing.T, text []byte, prefix string) {
		all, err := decodePage(text, prefix)
		if err != nil && (len(all.objects) > 0 || all.next != "") {
			t.Errorf("got %v with %v", all, err)
		}
		for _, object := range all.objects {
			if object.Name == "" || object.Size < 0 || !strings.HasPrefix(object.Name, prefix) {
				t.Errorf("got %+v below %q", object, prefix)
			}
		}
	})
}
