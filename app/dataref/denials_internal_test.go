package dataref

import (
	"fmt"
	"testing"
	"time"
)

// TestDenialsAreBounded, as others choose the URIs.
func TestDenialsAreBounded(t *testing.T) {
	t.Parallel()
	var d denials
	now := time.Now()
	for i := range 2 * mostDenials {
		if d.own(fmt.Sprint("s3://inputs/", i), now) {
			t.Fatal("the first refusal of an object is taken for its own")
		}
	}
	if len(d.refused) != mostDenials {
		t.Errorf("%d objects are remembered, want at most %d", len(d.refused), mostDenials)
	}
	d.read("s3://inputs/mine", now.Add(time.Second))
	d.read("s3://inputs/late", now) // began before, ended after
	for uri, want := range map[string]bool{"s3://inputs/7": true, "s3://other/7": false, "gs://inputs/7": false} {
		if got := d.own(uri, now.Add(2*time.Second)); got != want {
			t.Errorf("%s: got %t, want %t", uri, got, want)
		}
	}
	// After a while it begins anew, and what is old makes room.
	later := now.Add(denialAge)
	if d.own("s3://inputs/7", later) || len(d.refused) != 1 {
		t.Errorf("%d objects are remembered after %s", len(d.refused), denialAge)
	}
}
